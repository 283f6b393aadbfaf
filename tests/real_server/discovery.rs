//! The metadata of a real authorization server, and grants made from it.

use serde_json::{Value, json};
use tower_oauth2::{
    TokenCache, TokenSource,
    grant::{ClientAuth, ClientCredentials, Metadata, RefreshToken},
};

use crate::oidc_provider::Provider;

#[tokio::test]
async fn an_issuer_with_and_without_a_path_is_found_and_grants_are_made_from_it() {
    for path in ["", "/tenant/1"] {
        let Some(server) = Provider::start(config(&json!({ "path": path }))).await else { return };
        let metadata = Metadata::discover(server.http(), server.issuer()).await.unwrap();
        assert_eq!(metadata.issuer(), format!("{}{path}", server.origin()));
        assert!(metadata.auth_methods().any(|method| method == "private_key_jwt"));
        assert!(metadata.field::<Vec<String>>("scopes_supported").unwrap().contains(&"api:read".to_owned()));

        let auth = metadata.client_secret("a b", "c+d%e").unwrap();
        let token = ClientCredentials::new(server.http(), &metadata, auth).unwrap().token(None).await.unwrap();
        assert_eq!(server.whoami(&token).await["client"], "a b");

        let first = server.refresh_token("app").await;
        let persist = |_| async { Ok::<_, std::io::Error>(()) };
        let grant = RefreshToken::new(server.http(), &metadata, ClientAuth::none("app"), first, persist).unwrap();
        let token = TokenCache::new(grant).token().await.unwrap();
        assert_eq!(server.whoami(&token).await["account"], "somebody");
    }
}

#[tokio::test]
async fn an_issuer_of_another_spelling_is_refused_and_no_secret_is_sent() {
    let Some(server) = Provider::start(config(&json!({}))).await else { return };
    let port = server.origin().rsplit(':').next().unwrap();
    for other in [format!("http://localhost:{port}"), format!("{}/", server.origin())] {
        let error = Metadata::discover(server.http(), &other).await.unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains("spelled alike"), "{other}: {error}");
    }
    for nowhere in [format!("{}/nowhere", server.origin()), format!("{}/token", server.origin())] {
        let error = Metadata::discover(server.http(), &nowhere).await.unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains("404"), "{nowhere}: {error}");
    }
    assert!(server.stats().await.token_requests.is_empty());
}

#[tokio::test]
async fn the_secret_is_sent_in_the_way_that_the_server_takes() {
    let post =
        json!({ "client_id": "p", "client_secret": "a secret", "token_endpoint_auth_method": "client_secret_post" });
    let settings = json!({ "auth_methods": ["client_secret_post", "none"], "clients": [post] });
    let Some(server) = Provider::start(settings).await else { return };
    let metadata = Metadata::discover(server.http(), server.issuer()).await.unwrap();
    let auth = metadata.client_secret("p", "a secret").unwrap();
    assert!(format!("{auth:?}").contains("client_secret_post"), "{auth:?}");
    ClientCredentials::new(server.http(), &metadata, auth).unwrap().token(None).await.unwrap();

    let error = ClientCredentials::new(server.http(), &metadata, ClientAuth::basic("p", "a secret")).unwrap_err();
    assert!(error.is_config(), "{error:?}");
    assert_eq!(server.stats().await.token_requests.len(), 1);
}

fn config(more: &Value) -> Value {
    let app = json!({ "client_id": "app", "token_endpoint_auth_method": "none", "grant_types": ["refresh_token"] });
    let mut config = json!({ "clients": [{ "client_id": "a b", "client_secret": "c+d%e" }, app] });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}
