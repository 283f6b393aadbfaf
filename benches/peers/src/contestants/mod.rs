//! The contestants, each used as its own users would.

mod aws;
mod azure_core;
mod azure_identity;
mod cf_gears;
mod fixed;
mod google;
mod huskarl;
mod kube;
mod middle;
mod ours;
mod reqwest_middleware;
mod yup;

use http::HeaderValue;
use tower::BoxError;

use crate::client::Visitor;

/// The static header first: the others are divided by it.
pub(crate) fn visit(visitor: &mut impl Visitor) {
    visitor.visit::<fixed::Fixed>();
    visitor.visit::<ours::Ours>();
    visitor.visit::<middle::Middle>();
    visitor.visit::<kube::Kube>();
    visitor.visit::<google::Google>();
    visitor.visit::<azure_core::AzureCore>();
    visitor.visit::<azure_identity::AzureIdentity>();
    visitor.visit::<aws::Aws>();
    visitor.visit::<yup::Yup>();
    visitor.visit::<huskarl::Huskarl>();
    visitor.visit::<cf_gears::CfGears>();
    visitor.visit::<reqwest_middleware::ReqwestMiddleware>();
}

/// For those who hand out the bare token.
fn bearer(token: &str) -> Result<HeaderValue, BoxError> {
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))?;
    header.set_sensitive(true);
    Ok(header)
}
