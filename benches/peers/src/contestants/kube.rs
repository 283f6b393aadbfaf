//! kube-client's `AuthLayer`, with a credential plugin, as the clusters of all large clouds have it.

use std::{env, time::Duration};

use kube_client::{
    Config,
    client::ConfigExt as _,
    config::{AuthInfo, ExecConfig, ExecInteractiveMode},
};
use tower::{BoxError, Layer};

use crate::{
    client::{Client, Peer, Scene, Start, Tower},
    end::End,
    issuer::Issuer,
    plugin,
};

pub(crate) struct Kube;

impl Peer for Kube {
    const NAME: &'static str = "kube-client";
    /// It is not there before its first token is, which leaves one that has expired.
    const COLD: Option<Scene> = Scene::new(Duration::ZERO, Start::AtOnce);
    /// Due for the last minute.
    const DUE: Option<Scene> = Scene::new(Duration::from_secs(30), Start::AtOnce);

    async fn client<E: End>(issuer: &Issuer, end: E) -> Result<impl Client, BoxError> {
        let exec = ExecConfig {
            api_version: Some("client.authentication.k8s.io/v1".into()),
            command: Some(env::current_exe()?.to_string_lossy().into_owned()),
            args: Some(vec![plugin::ARGUMENT.into(), issuer.url()]),
            interactive_mode: Some(ExecInteractiveMode::Never),
            ..ExecConfig::default()
        };
        let mut config = Config::new(end.origin().parse()?);
        config.auth_info = AuthInfo { exec: Some(exec), ..AuthInfo::default() };
        let layer = config.auth_layer()?.ok_or("no token")?;
        Ok(Tower { service: layer.layer(end.clone()), end })
    }
}
