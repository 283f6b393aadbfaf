//! Where a secret is kept.

use std::{
    env, fmt,
    fs::File,
    future::Future,
    io::{self, Read as _},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use tokio::task::spawn_blocking;
use tower::BoxError;
use zeroize::Zeroizing;

use crate::error::{Error, Kind};

/// A client secret, a password, an access key or an assertion, and how to come by it.
///
/// It is looked up for every token request and kept no longer than that takes, so that a secret that was replaced, in a
/// file or wherever a callback looks, is used from the next token request on. Text that was given as it is stays in memory
/// and is wiped on drop. `Debug` shows where it is kept, never what it is.
///
/// ```
/// use tower_oauth2::grant::{ClientAuth, Secret};
///
/// let from_text = ClientAuth::basic("exporter", "s3cr3t");
/// let from_env = ClientAuth::basic("exporter", Secret::env("CLIENT_SECRET"));
/// let from_file = ClientAuth::basic("exporter", Secret::file("/run/secrets/client_secret"));
/// # async fn read_from_vault(name: &str) -> Result<String, std::io::Error> { Ok(name.to_owned()) }
/// let from_vault = ClientAuth::basic("exporter", Secret::from_fn(|| read_from_vault("exporter")));
/// ```
#[derive(Clone)]
pub struct Secret {
    place: Place,
}

#[derive(Clone)]
enum Place {
    Text(Arc<Zeroizing<String>>),
    Env(Arc<str>),
    File(Arc<Path>),
    Callback(Arc<dyn Callback>),
}

/// An async function without its types.
trait Callback: Send + Sync {
    fn call(&self) -> Pin<Box<dyn Future<Output = Result<Zeroizing<String>, BoxError>> + Send + '_>>;
}

struct Function<F>(F);

// === impl Secret ===

impl Secret {
    /// The secret itself.
    pub fn new(text: impl Into<String>) -> Self {
        Self { place: Place::Text(Arc::new(Zeroizing::new(text.into()))) }
    }

    /// The value of an environment variable.
    ///
    /// One that is not there, not Unicode or empty is an error of the constructor of the grant.
    pub fn env(name: impl Into<String>) -> Self {
        Self { place: Place::Env(name.into().into()) }
    }

    /// The content of a file, without a line break at its end; read at every token request, on a thread of tokio's for
    /// such. At most 64 KiB of UTF-8.
    ///
    /// A file that cannot be read, or is empty, is a transient error of the token request: it may just be replaced.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::File(path.into().into()) }
    }

    /// What a function answers, called for every token request.
    ///
    /// An error of it is a transient error of the token request. One that is or wraps an [`Error`] of this crate is as
    /// transient as that, asks for the same wait, and requires to sign in if that does.
    pub fn from_fn<F, Fut, T, E>(read: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<String>,
        E: Into<BoxError>,
    {
        Self { place: Place::Callback(Arc::new(Function(read))) }
    }

    /// What can be known to be wrong before anything is asked.
    pub(super) fn check(&self, what: &str) -> Result<(), Error> {
        match &self.place {
            Place::Text(text) if text.is_empty() => Err(Error::config(format!("the {what} is empty"))),
            Place::Env(name) => read_env(name).map(drop),
            Place::Text(_) | Place::File(_) | Place::Callback(_) => Ok(()),
        }
    }

    /// The secret, if it was given as it is.
    #[cfg(feature = "jwt")]
    pub(super) fn text(&self) -> Option<&str> {
        match &self.place {
            Place::Text(text) => Some(text),
            Place::Env(_) | Place::File(_) | Place::Callback(_) => None,
        }
    }

    pub(super) fn same_place(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::Text(text), Place::Text(other)) => Arc::ptr_eq(text, other),
            (Place::Env(name), Place::Env(other)) => name == other,
            (Place::File(path), Place::File(other)) => path == other,
            (Place::Callback(callback), Place::Callback(other)) => Arc::ptr_eq(callback, other),
            _ => false,
        }
    }

    pub(super) async fn read(&self) -> Result<Zeroizing<String>, Error> {
        match &self.place {
            Place::Text(text) => Ok(Zeroizing::clone(text)),
            Place::Env(name) => read_env(name),
            Place::File(path) => {
                let unreadable = |source: io::Error| {
                    let problem = format!("the secret file {} cannot be read", path.display());
                    Error::new(Kind::Secret(problem.into())).with_source(source).with_transient(true)
                };
                let place = Arc::clone(path);
                let read = spawn_blocking(move || read_file(&place));
                read.await.unwrap_or_else(|ended| Err(io::Error::other(ended))).map_err(unreadable)
            }
            Place::Callback(callback) => {
                let failed =
                    |source| Error::new(Kind::Secret("the callback for a secret failed".into())).caused_by(source);
                let text = callback.call().await.map_err(|source: BoxError| failed(source))?;
                if text.is_empty() {
                    return Err(Error::new(Kind::Secret("the callback for a secret answered with nothing".into())));
                }
                Ok(text)
            }
        }
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Text(_) => f.write_str("Secret(..)"),
            Place::Env(name) => write!(f, "Secret(env {name})"),
            Place::File(path) => write!(f, "Secret(file {})", path.display()),
            Place::Callback(_) => f.write_str("Secret(callback)"),
        }
    }
}

// === impl Function ===

impl<F, Fut, T, E> Callback for Function<F>
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    T: Into<String>,
    E: Into<BoxError>,
{
    fn call(&self) -> Pin<Box<dyn Future<Output = Result<Zeroizing<String>, BoxError>> + Send + '_>> {
        let answer = (self.0)();
        Box::pin(async move {
            match answer.await {
                Ok(text) => Ok(Zeroizing::new(text.into())),
                Err(error) => Err(error.into()),
            }
        })
    }
}

fn read_env(name: &str) -> Result<Zeroizing<String>, Error> {
    match env::var(name) {
        Ok(text) if !text.is_empty() => Ok(Zeroizing::new(text)),
        Ok(_) => Err(Error::config(format!("the environment variable {name} is empty"))),
        // Its error shows what is in the variable.
        Err(env::VarError::NotUnicode(_)) => {
            Err(Error::config(format!("the environment variable {name} is not UTF-8")))
        }
        Err(env::VarError::NotPresent) => Err(Error::config(format!("the environment variable {name} is not set"))),
    }
}

fn read_file(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE + 1));
    File::open(path)?.take(MAX_FILE as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than 64 KiB"));
    }
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

const MAX_FILE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_and_a_line_break_at_its_end_is_none_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let secret = Secret::file(&path);
        let missing = secret.read().await.unwrap_err();
        assert!(missing.is_transient() && missing.to_string().contains("secret file"), "{missing}");
        for (content, expected) in [("one", "one"), ("two\n", "two"), ("three\r\n", "three"), (" f\n\n", " f\n")] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(*secret.read().await.unwrap(), expected);
        }
        for (content, problem) in
            [(Vec::new(), "empty"), (b"\n".to_vec(), "empty"), (vec![b'x'; MAX_FILE + 1], "64 KiB")]
        {
            std::fs::write(&path, content).unwrap();
            let error = secret.read().await.unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(error.is_transient() && source.contains(problem), "{source}");
        }
        std::fs::write(&path, vec![b'x'; MAX_FILE]).unwrap();
        assert_eq!(secret.read().await.unwrap().len(), 65_536, "64 KiB is not too long");
        std::fs::write(&path, b"canary\xff").unwrap();
        let error = secret.read().await.unwrap_err();
        assert!(!format!("{error:?}").contains("canary"));
    }

    #[test]
    fn a_variable_that_is_empty_is_no_secret() {
        const NAME: &str = "TOWER_OAUTH2_EMPTY_VARIABLE";
        if env::var_os(NAME).is_some() {
            let error = Secret::env(NAME).check("client secret").unwrap_err();
            assert!(error.is_config() && error.to_string().contains("is empty"), "{error}");
            return;
        }
        // A process cannot safely set one for itself.
        let this = "grant::secret::tests::a_variable_that_is_empty_is_no_secret";
        let mut child = std::process::Command::new(env::current_exe().unwrap());
        let output = child.args(["--exact", this]).env(NAME, "").output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
    }

    #[test]
    fn two_are_the_same_if_they_are_looked_up_in_the_same_place() {
        let callback = |text: &'static str| Secret::from_fn(move || async move { Ok::<_, BoxError>(text) });
        let each = || [Secret::new("a"), Secret::env("A"), Secret::file("a"), callback("a")];
        let (some, others) = (each(), each());
        let sames = |one: &Secret| others.each_ref().map(|other| one.same_place(other));
        assert!(some.iter().all(|secret| secret.same_place(&secret.clone())));
        assert_eq!(sames(&some[0]), [false; 4], "two texts are compared nowhere");
        assert_eq!(sames(&some[1]), [false, true, false, false]);
        assert_eq!(sames(&some[2]), [false, false, true, false]);
        assert_eq!(sames(&some[3]), [false; 4]);
        assert!(!Secret::env("A").same_place(&Secret::env("B")));
        assert!(!Secret::file("a").same_place(&Secret::file("b")));
    }

    #[test]
    fn a_variable_that_is_missing_is_found_out_at_once() {
        let error = Secret::env("TOWER_OAUTH2_NO_SUCH_VARIABLE").check("client secret").unwrap_err();
        assert!(error.is_config() && error.to_string().contains("TOWER_OAUTH2_NO_SUCH_VARIABLE"), "{error}");
        assert!(Secret::env("PATH").check("client secret").is_ok());
    }

    #[tokio::test]
    async fn a_callback_is_asked_every_time_and_its_own_verdict_counts() {
        let calls = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counter = Arc::clone(&calls);
        let secret = Secret::from_fn(move || {
            let call = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            async move {
                match call {
                    0 => Ok("a".to_owned()),
                    1 => Err(BoxError::from("sealed")),
                    2 => Err(Error::permanent("revoked").into()),
                    _ => Ok(String::new()),
                }
            }
        });
        assert_eq!(*secret.read().await.unwrap(), "a");
        assert!(secret.read().await.unwrap_err().is_transient());
        assert!(!secret.read().await.unwrap_err().is_transient());
        assert!(secret.read().await.unwrap_err().to_string().contains("nothing"));
    }

    #[test]
    fn debug_shows_the_place_only() {
        let shown = format!("{:?} {:?}", Secret::new("canary"), Secret::from("canary"));
        assert!(!shown.contains("canary"));
        assert_eq!(format!("{:?}", Secret::env("NAME")), "Secret(env NAME)");
    }
}
