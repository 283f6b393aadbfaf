//! The chain of causes of an error, whoever wrapped what.

use std::{error::Error, io, iter};

/// `error` and all that caused it. Also what an [`io::Error`] was made from, which its own `source()` passes over.
pub(crate) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    iter::from_fn(move || {
        let error = next?;
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
        Some(error)
    })
}

/// Whether the other side could not show that it is who it should be: not a connection that failed, but one that must not
/// be.
pub(crate) fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    #[cfg(any(feature = "client", feature = "reqwest"))]
    let untrusted = matches!(
        error.downcast_ref::<rustls::Error>(),
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    );
    #[cfg(not(any(feature = "client", feature = "reqwest")))]
    let untrusted = {
        let _only_rustls_says_so = error;
        false
    };
    untrusted
}
