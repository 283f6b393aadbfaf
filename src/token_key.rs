//! Everything that makes a token another one.

use std::{collections::BTreeSet, fmt, sync::Arc};

/// Names a token by everything that makes it another one; on the extensions of a request it says which of
/// [`TokenCaches`](crate::TokenCaches) the request takes its token from.
///
/// Two keys are equal if the same was said in any order and however often; case counts, as it does in scopes
/// (RFC 6749 §3.3). No two parts can be taken for one another, whatever is in them. It should hold what the token depends
/// on and nothing else, above all no secret: it is kept as it is, and compared in the open.
///
/// `Clone` is cheap. `Debug` shows neither the subject, which may be a person, nor the values of parameters.
///
/// ```
/// use tower_oauth2::TokenKey;
///
/// let key = TokenKey::new().tenant("acme").audience("https://api.example.com").scope("users:write users:read");
/// assert_eq!(key, TokenKey::new().scope("users:read").scope("users:write").audience("https://api.example.com").tenant("acme"));
/// assert_ne!(key, key.clone().tenant("Acme"));
/// assert_eq!(key.get_tenant(), Some("acme"));
/// assert!(key.get_scopes().eq(["users:read", "users:write"]));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[must_use = "a key does nothing until a request carries it"]
pub struct TokenKey {
    parts: Arc<Parts>,
}

/// Each part is a field, and what may be said several times a set: equality is that of what was said.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Parts {
    tenant: Option<Box<str>>,
    audience: Option<Box<str>>,
    subject: Option<Box<str>>,
    scopes: BTreeSet<Box<str>>,
    resources: BTreeSet<Box<str>>,
    params: BTreeSet<(Box<str>, Box<str>)>,
}

// === impl TokenKey ===

impl TokenKey {
    /// Says nothing yet, which is a key as well.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whose token it is: a customer, an organization, a set of credentials. The last one counts.
    pub fn tenant(self, tenant: impl AsRef<str>) -> Self {
        self.with(|parts| parts.tenant = Some(tenant.as_ref().into()))
    }

    /// Whom the token is for, as Auth0 and others want it. The last one counts.
    pub fn audience(self, audience: impl AsRef<str>) -> Self {
        self.with(|parts| parts.audience = Some(audience.as_ref().into()))
    }

    /// On whose behalf it is, such as a user of the tenant. The last one counts.
    pub fn subject(self, subject: impl AsRef<str>) -> Self {
        self.with(|parts| parts.subject = Some(subject.as_ref().into()))
    }

    /// What the token allows: one scope, or several separated by spaces. Adds to what was said before.
    pub fn scope(self, scope: impl AsRef<str>) -> Self {
        let scopes = scope.as_ref().split(' ').filter(|scope| !scope.is_empty());
        self.with(|parts| parts.scopes.extend(scopes.map(Into::into)))
    }

    /// A resource that the token is for (RFC 8707). Adds to what was said before.
    pub fn resource(self, resource: impl AsRef<str>) -> Self {
        self.with(|parts| {
            parts.resources.insert(resource.as_ref().into());
        })
    }

    /// Anything else that makes the token another one. Adds to what was said before, also under the same name.
    pub fn param(self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.with(|parts| {
            parts.params.insert((name.as_ref().into(), value.as_ref().into()));
        })
    }

    /// What [`tenant`](Self::tenant) said.
    pub fn get_tenant(&self) -> Option<&str> {
        self.parts.tenant.as_deref()
    }

    /// What [`audience`](Self::audience) said.
    pub fn get_audience(&self) -> Option<&str> {
        self.parts.audience.as_deref()
    }

    /// What [`subject`](Self::subject) said.
    pub fn get_subject(&self) -> Option<&str> {
        self.parts.subject.as_deref()
    }

    /// Each scope once, in order.
    pub fn get_scopes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.parts.scopes.iter().map(AsRef::as_ref)
    }

    /// Each resource once, in order.
    pub fn get_resources(&self) -> impl ExactSizeIterator<Item = &str> {
        self.parts.resources.iter().map(AsRef::as_ref)
    }

    /// The names and values of all parameters, each pair once, in order.
    pub fn get_params(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.parts.params.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    fn with(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(Arc::make_mut(&mut self.parts));
        self
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.parts;
        let names: Vec<_> = self.get_params().map(|(name, _)| name).collect();
        f.debug_struct("TokenKey")
            .field("tenant", &parts.tenant)
            .field("audience", &parts.audience)
            .field("subject", &parts.subject.as_ref().map(|_| "…"))
            .field("scopes", &parts.scopes)
            .field("resources", &parts.resources)
            .field("params", &names)
            .finish()
    }
}
