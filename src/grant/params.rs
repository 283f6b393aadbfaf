//! The parameters of a token request, as they were set.

use super::{message::Message, secret::Secret};
use crate::error::Error;

/// In the order in which they were set.
#[derive(Clone, Default)]
pub(super) struct Params {
    list: Vec<(String, Value)>,
}

#[derive(Clone)]
enum Value {
    Open(String),
    Secret(Secret),
}

// === impl Params ===

impl Params {
    /// Adds one more, or one more of that name.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        self.list.push((name.to_owned(), Value::Open(value.to_owned())));
    }

    /// The last one counts.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.list.retain(|(known, _)| known != name);
        self.push(name, value);
    }

    pub(super) fn set_secret(&mut self, name: &str, value: Secret) {
        self.list.retain(|(known, _)| known != name);
        self.list.push((name.to_owned(), Value::Secret(value)));
    }

    /// Adds to a list of words.
    pub(super) fn add_words(&mut self, name: &str, words: &str) {
        let words = words.trim();
        if words.is_empty() {
            return;
        }
        match self.list.iter_mut().find(|(known, _)| known == name) {
            Some((_, Value::Open(known))) => {
                known.push(' ');
                known.push_str(words);
            }
            _ => self.push(name, words),
        }
    }

    /// As [`push`](Self::push), by somebody who may not know what is there.
    pub(super) fn add(&mut self, name: &str, value: &str) -> Result<(), Error> {
        if SECRETS.contains(&name) {
            return Err(Error::config(format!("the parameter {name} is a secret: use secret_param")));
        }
        self.check(name)?;
        self.push(name, value);
        Ok(())
    }

    /// As [`add`](Self::add), for what must not be shown.
    pub(super) fn add_secret(&mut self, name: &str, value: Secret) -> Result<(), Error> {
        self.check(name)?;
        value.check(&format!("parameter {name}"))?;
        self.list.push((name.to_owned(), Value::Secret(value)));
        Ok(())
    }

    /// Whether both ask for the same. Where secrets are looked up counts, not what is found there.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let same = |((name, value), (other_name, other)): (&(String, Value), &(String, Value))| {
            name == other_name
                && match (value, other) {
                    (Value::Open(value), Value::Open(other)) => value == other,
                    (Value::Secret(secret), Value::Secret(other)) => secret.same_place(other),
                    _ => false,
                }
        };
        self.list.len() == other.list.len() && self.list.iter().zip(&other.list).all(same)
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.list.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(super) async fn apply(&self, message: &mut Message) -> Result<(), Error> {
        for (name, value) in &self.list {
            match value {
                Value::Open(value) => message.push(name, value),
                Value::Secret(secret) => message.push_secret(name, &secret.read().await?),
            }
        }
        Ok(())
    }

    /// Keeps others from setting it.
    pub(super) fn reserve(&mut self, name: &str) -> Result<(), Error> {
        self.check(name)?;
        // Without a value it is not sent.
        self.push(name, "");
        Ok(())
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        if CLIENT.contains(&name) {
            return Err(Error::config(format!("the parameter {name} is set by the client authentication")));
        }
        if SETTERS.contains(&name) {
            return Err(Error::config(format!("the parameter {name} has a setter of its own")));
        }
        if name.is_empty() || self.list.iter().any(|(known, _)| known == name) {
            return Err(Error::config(format!("the parameter {name:?} is empty or was given before")));
        }
        Ok(())
    }
}

const SECRETS: [&str; 7] =
    ["actor_token", "assertion", "code", "code_verifier", "password", "refresh_token", "subject_token"];
const CLIENT: [&str; 4] = ["client_assertion", "client_assertion_type", "client_id", "client_secret"];
const SETTERS: [&str; 4] = ["audience", "grant_type", "resource", "scope"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_asked_for_if_names_values_and_places_of_secrets_are_the_same() {
        let of = |name: &str, open: &str, secret: &Secret| {
            let mut params = Params::default();
            params.push(name, open);
            params.set_secret("password", secret.clone());
            params
        };
        let (secret, other) = (Secret::new("one"), Secret::new("one"));
        let params = of("a", "b", &secret);
        assert!(params.same_as(&of("a", "b", &secret)));
        for different in [of("x", "b", &secret), of("a", "x", &secret), of("a", "b", &other), Params::default()] {
            assert!(!params.same_as(&different) && !different.same_as(&params));
        }
        let mut open = Params::default();
        open.push("a", "b");
        open.push("password", "one");
        assert!(!params.same_as(&open));
    }
}
