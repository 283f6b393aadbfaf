use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use jsonwebtoken::{DecodingKey, Validation, decode, jwk::Jwk};
use serde_json::{Value, json};

use super::*;
use crate::error::Error;

const TOKEN_URL: &str = "https://login.example.com/oauth/token";
const ISSUER: &str = "https://login.example.com";
const SECRET: &[u8] = b"canary-of-the-secret-0123456789-0123456789-0123456789-0123456789";
/// The example of RFC 8037, appendix A.
const OKP: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// A key service that notes what it was asked to sign.
struct Service {
    algorithm: Algorithm,
    answer: Result<Vec<u8>, Error>,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
}

#[tokio::test]
async fn the_claims_are_those_of_rfc_7523_and_no_others() {
    let now = UNIX_EPOCH + Duration::from_millis(1_760_000_000_999);
    let assertion = ClientAssertion::new(okp()).clock(move || now);
    let (header, mut claims) = parts(&assertion.make("id \"ü", TOKEN_URL, Some(ISSUER)).await.unwrap());
    assert_eq!(header, json!({"alg": "EdDSA", "typ": "JWT"}));
    let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(jti.as_str().unwrap()).unwrap().len(), 16, "128 bits");
    let expected = json!({
        "iss": "id \"ü", "sub": "id \"ü", "aud": ISSUER, "iat": 1_760_000_000, "exp": 1_760_000_060,
    });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn every_setting_shows_in_what_is_sent() {
    let assertion = ClientAssertion::new(okp().with_key_id("k\"1"))
        .header_type("client-authentication+jwt")
        .audience(Audience::token_endpoint())
        .lifetime(Duration::from_secs(30))
        .claim("tenant", ["a", "b"])
        .unwrap();
    let (header, claims) = parts(&assertion.make("id", TOKEN_URL, None).await.unwrap());
    assert_eq!(header, json!({"alg": "EdDSA", "typ": "client-authentication+jwt", "kid": "k\"1"}));
    assert_eq!((&claims["aud"], &claims["tenant"]), (&json!(TOKEN_URL), &json!(["a", "b"])));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 30);

    let other = assertion.without_key_id().audience(Audience::other("urn:the-server"));
    let (header, claims) = parts(&other.make("id", TOKEN_URL, Some(ISSUER)).await.unwrap());
    assert_eq!((header.get("kid"), &claims["aud"]), (None, &json!("urn:the-server")));
}

#[tokio::test]
async fn a_lifetime_has_bounds() {
    for (set, is) in [(Duration::ZERO, 1), (Duration::from_millis(1999), 1), (Duration::MAX, 600)] {
        let assertion = ClientAssertion::new(okp()).lifetime(set);
        let (_, claims) = parts(&assertion.make("id", TOKEN_URL, Some(ISSUER)).await.unwrap());
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), is);
    }
}

#[tokio::test]
async fn another_library_verifies_what_is_made() {
    let assertion = ClientAssertion::new(okp());
    let jwt = assertion.make("id", TOKEN_URL, Some(ISSUER)).await.unwrap();
    let mut validation = Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&[ISSUER]);
    validation.set_issuer(&["id"]);
    validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
    let public: Jwk = serde_json::from_str(OKP).unwrap();
    let key = DecodingKey::from_jwk(&public).unwrap();
    assert_eq!(decode::<Value>(jwt.as_str(), &key, &validation).unwrap().claims["sub"], "id");

    // The canary of this test: the same JWT with another claim is refused.
    let (head, rest) = jwt.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let claims =
        String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap().replace(r#""sub":"id""#, r#""sub":"Id""#);
    let forged = format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims));
    assert!(decode::<Value>(&forged, &key, &validation).is_err());
}

#[tokio::test]
async fn another_library_verifies_what_the_client_secret_signs() {
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let assertion = ClientAssertion::with_client_secret(algorithm).unwrap();
        let jwt = assertion.make_hmac(SECRET, "id", TOKEN_URL, Some(ISSUER)).unwrap();
        let mut validation = Validation::new(algorithm.as_str().parse().unwrap());
        validation.set_audience(&[ISSUER]);
        let token = decode::<Value>(jwt.as_str(), &DecodingKey::from_secret(SECRET), &validation).unwrap();
        assert_eq!((token.claims["iss"].as_str(), token.header.kid), (Some("id"), None));
        assert!(decode::<Value>(jwt.as_str(), &DecodingKey::from_secret(&SECRET[1..]), &validation).is_err());
    }
}

#[tokio::test]
async fn a_client_secret_that_can_be_guessed_signs_only_if_told_to() {
    for (algorithm, least) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
        let assertion = ClientAssertion::with_client_secret(algorithm).unwrap();
        assert!(assertion.check_secret(&SECRET[..least]).is_ok());
        let error = assertion.make_hmac(&SECRET[..least - 1], "id", TOKEN_URL, Some(ISSUER)).unwrap_err();
        assert!(error.is_config() && error.to_string().contains(&format!("{least} bytes")), "{error}");
        assert!(!format!("{error:?}").contains("canary"));
        let dared = assertion.danger_short_secret();
        assert!(dared.make_hmac(&SECRET[..1], "id", TOKEN_URL, Some(ISSUER)).is_ok());
        assert!(dared.make_hmac(b"", "id", TOKEN_URL, Some(ISSUER)).unwrap_err().is_config());
    }
    for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
        assert!(ClientAssertion::with_client_secret(algorithm).unwrap_err().is_config());
    }
}

#[tokio::test]
async fn a_jti_never_comes_twice() {
    let (key, secret) = (ClientAssertion::new(okp()), ClientAssertion::with_client_secret(Algorithm::HS256).unwrap());
    let mut seen = HashSet::new();
    for _ in 0..1000 {
        let made = [
            key.make("id", TOKEN_URL, Some(ISSUER)).await.unwrap(),
            secret.make_hmac(SECRET, "id", TOKEN_URL, Some(ISSUER)).unwrap(),
        ];
        seen.extend(made.map(|jwt| parts(&jwt).1["jti"].as_str().unwrap().to_owned()));
    }
    assert_eq!(seen.len(), 2000);
}

#[tokio::test]
async fn an_issuer_that_is_not_known_is_found_out_before_anything_is_sent() {
    let assertion = ClientAssertion::new(okp());
    let error = assertion.check(false).unwrap_err();
    assert!(error.is_config() && error.to_string().contains("Audience::token_endpoint"), "{error}");
    assert!(assertion.make("id", TOKEN_URL, None).await.unwrap_err().is_config());
    assert!(assertion.check(true).is_ok());
    assert!(assertion.clone().audience(Audience::token_endpoint()).check(false).is_ok());
    assert!(assertion.clone().audience(Audience::other("x")).check(false).is_ok());
    assert!(assertion.audience(Audience::other("")).check(true).unwrap_err().is_config());
}

#[test]
fn a_claim_of_ours_cannot_be_replaced() {
    for name in ["iss", "sub", "aud", "jti", "iat", "exp", "nbf", ""] {
        assert!(ClientAssertion::new(okp()).claim(name, "x").unwrap_err().is_config(), "{name}");
    }
    let once = ClientAssertion::new(okp()).claim("a", 1).unwrap();
    assert!(once.claim("a", 2).unwrap_err().is_config());
}

#[tokio::test]
async fn a_key_service_gets_the_input_of_the_signature_and_its_answer_is_sent() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let service = Service { algorithm: Algorithm::ES256, answer: Ok(vec![7; 64]), asked: Arc::clone(&asked) };
    let jwt = ClientAssertion::new(service).make("id", TOKEN_URL, Some(ISSUER)).await.unwrap();
    let (input, signature) = jwt.rsplit_once('.').unwrap();
    assert_eq!(*asked.lock().unwrap(), [input.as_bytes()]);
    assert_eq!(URL_SAFE_NO_PAD.decode(signature).unwrap(), [7; 64]);
    assert_eq!(parts(&jwt).0, json!({"alg": "ES256", "typ": "JWT", "kid": "service"}));
}

#[tokio::test]
async fn an_assertion_never_outgrows_its_place_and_leaves_no_copy_behind() {
    for claim in ["", "x", "xx", "xxx"] {
        let service = Service { algorithm: Algorithm::RS256, answer: Ok(vec![7; 512]), asked: Arc::default() };
        let assertion = ClientAssertion::new(service).claim("more", claim).unwrap();
        let jwt = assertion.make("id", TOKEN_URL, Some(ISSUER)).await.unwrap();
        let text: usize = jwt.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap().len()).sum();
        assert_eq!(jwt.capacity(), text * 4 / 3 + 16);
    }
}

#[tokio::test]
async fn a_key_service_that_names_no_key_sends_no_key_id() {
    struct Nameless;
    impl SignAssertion for Nameless {
        fn algorithm(&self) -> Algorithm {
            Algorithm::RS256
        }
        async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
            Ok(vec![7; 256])
        }
    }
    let jwt = ClientAssertion::new(Nameless).make("id", TOKEN_URL, Some(ISSUER)).await.unwrap();
    assert_eq!(parts(&jwt).0, json!({"alg": "RS256", "typ": "JWT"}), "2048 bits are enough");
}

#[tokio::test]
async fn the_error_of_a_key_service_is_the_cause_and_not_a_verdict_on_the_client() {
    for error in [Error::transient("the service is down"), Error::permanent("no such key")] {
        let answer = Err(error.clone());
        let service = Service { algorithm: Algorithm::RS256, answer, asked: Arc::default() };
        let passed_on = ClientAssertion::new(service).make("id", TOKEN_URL, Some(ISSUER)).await.unwrap_err();
        assert_eq!(passed_on.is_transient(), error.is_transient());
        let cause = std::error::Error::source(&passed_on).unwrap();
        assert_eq!(format!("{cause:?}"), format!("{error:?}"));
    }
}

#[tokio::test]
async fn a_signature_that_no_server_could_verify_is_not_sent() {
    for (algorithm, length, hint) in [
        (Algorithm::ES256, 71, "not DER"),
        (Algorithm::ES384, 64, "not DER"),
        (Algorithm::EdDSA, 0, "has 64"),
        (Algorithm::RS256, 128, "2048 bits"),
        (Algorithm::RS256, 255, "2048 bits"),
        (Algorithm::HS512, 32, "has 64"),
    ] {
        let service = Service { algorithm, answer: Ok(vec![7; length]), asked: Arc::default() };
        let error = ClientAssertion::new(service).make("id", TOKEN_URL, Some(ISSUER)).await.unwrap_err();
        assert!(error.is_config() && error.to_string().contains(hint), "{error}");
        let is_ecdsa = matches!(algorithm, Algorithm::ES256 | Algorithm::ES384);
        assert_eq!(error.to_string().contains("DER"), is_ecdsa, "{error}");
    }
}

#[tokio::test]
async fn a_clock_before_1970_is_an_error() {
    let assertion = ClientAssertion::new(okp()).clock(|| UNIX_EPOCH - Duration::from_secs(1));
    assert!(assertion.make("id", TOKEN_URL, Some(ISSUER)).await.unwrap_err().is_config());
}

#[tokio::test]
async fn a_replaced_key_signs_the_next_assertion_of_all_clones() {
    let assertion = ClientAssertion::new(okp().with_key_id("old"));
    let grant = assertion.clone().lifetime(Duration::from_secs(5));
    assert_eq!(parts(&grant.make("id", TOKEN_URL, Some(ISSUER)).await.unwrap()).0["kid"], "old");
    assertion.replace_key(okp().with_key_id("new"));
    assert_eq!(parts(&grant.make("id", TOKEN_URL, Some(ISSUER)).await.unwrap()).0["kid"], "new");
}

#[tokio::test]
async fn a_key_that_is_replaced_while_it_signs_finishes_its_assertion() {
    // Replaced at the worst moment: after its key id was read, before it signs.
    struct Leaving(Mutex<Option<ClientAssertion>>);
    impl SignAssertion for Leaving {
        fn algorithm(&self) -> Algorithm {
            Algorithm::ES256
        }
        fn key_id(&self) -> Option<&str> {
            if let Some(assertion) = self.0.lock().unwrap().take() {
                assertion.replace_key(okp().with_key_id("next"));
            }
            Some("leaving")
        }
        async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
            Ok(vec![7; 64])
        }
    }
    let key = Arc::new(Leaving(Mutex::new(None)));
    let assertion = ClientAssertion::new(Arc::clone(&key));
    *key.0.lock().unwrap() = Some(assertion.clone());

    let jwt = assertion.make("id", TOKEN_URL, Some(ISSUER)).await.unwrap();
    assert_eq!((&parts(&jwt).0["alg"], &parts(&jwt).0["kid"]), (&json!("ES256"), &json!("leaving")));
    assert!(jwt.ends_with(&URL_SAFE_NO_PAD.encode([7; 64])));
    assert_eq!(parts(&assertion.make("id", TOKEN_URL, Some(ISSUER)).await.unwrap()).0["kid"], "next");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_replacement_the_key_id_and_the_signature_are_of_the_same_key() {
    // The signature says which key made it.
    struct Numbered(u8, String);
    impl SignAssertion for Numbered {
        fn algorithm(&self) -> Algorithm {
            if self.0 % 2 == 0 { Algorithm::ES256 } else { Algorithm::ES384 }
        }
        fn key_id(&self) -> Option<&str> {
            Some(&self.1)
        }
        async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
            tokio::task::yield_now().await;
            Ok(vec![self.0; if self.0 % 2 == 0 { 64 } else { 96 }])
        }
    }
    let numbered = |number: u8| Numbered(number, number.to_string());
    let assertion = ClientAssertion::new(numbered(0));
    let done = Arc::new(AtomicBool::new(false));
    let makers = (0..4).map(|_| {
        let (assertion, done) = (assertion.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            let mut seen = HashSet::new();
            loop {
                let last = done.load(Ordering::SeqCst);
                let jwt = assertion.make("id", TOKEN_URL, Some(ISSUER)).await.unwrap();
                let signature = URL_SAFE_NO_PAD.decode(jwt.rsplit_once('.').unwrap().1).unwrap();
                let header = parts(&jwt).0;
                assert_eq!(header["kid"], signature[0].to_string());
                assert_eq!(header["alg"], if signature[0] % 2 == 0 { "ES256" } else { "ES384" });
                seen.insert(signature[0]);
                if last {
                    assert_eq!(signature[0], 200, "what was replaced before is not used after");
                    return seen.len();
                }
            }
        })
    });
    let makers: Vec<_> = makers.collect();
    for number in 1..=200 {
        assertion.replace_key(numbered(number));
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::SeqCst);
    for seen in join_all(makers).await {
        assert!(seen.unwrap() >= 1);
    }
}

#[test]
fn the_old_key_is_dropped_outside_of_the_lock() {
    // Its destructor makes use of the assertion: it would wait for ever.
    struct Clingy(Mutex<Option<ClientAssertion>>);
    impl Drop for Clingy {
        fn drop(&mut self) {
            if let Some(assertion) = self.0.lock().unwrap().take() {
                assert!(format!("{assertion:?}").contains("new"));
            }
        }
    }
    impl SignAssertion for Clingy {
        fn algorithm(&self) -> Algorithm {
            Algorithm::ES256
        }
        async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
            Ok(Vec::new())
        }
    }
    let clingy = Arc::new(Clingy(Mutex::new(None)));
    let assertion = ClientAssertion::new(Arc::clone(&clingy));
    *clingy.0.lock().unwrap() = Some(assertion.clone());
    drop(clingy);
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        assertion.replace_key(okp().with_key_id("new"));
        done.send(())
    });
    assert!(wait.recv_timeout(Duration::from_secs(10)).is_ok());
}

#[test]
fn debug_shows_settings_and_no_secret() {
    let assertion = ClientAssertion::new(okp().with_key_id("k1")).claim("tenant", "canary").unwrap();
    let shown = format!("{assertion:?} {assertion:#?}");
    assert!(shown.contains("EdDSA") && shown.contains("k1") && shown.contains("tenant"), "{shown}");
    assert!(!shown.contains("canary") && !shown.contains("nWGxne"), "{shown}");
    let assertion = ClientAssertion::with_client_secret(Algorithm::HS256).unwrap();
    assert!(format!("{assertion:?}").contains("HS256"));
    let key = format!("{:?}", okp().with_key_id("k1"));
    assert!(key.contains("SigningKey") && key.contains("EdDSA") && key.contains("k1"), "{key}");
}

#[test]
fn an_assertion_can_be_sent_to_another_thread_while_it_is_made() {
    fn is_send<T: Send>(_: T) {}
    let assertion = ClientAssertion::new(okp());
    is_send(assertion.make("id", TOKEN_URL, Some(ISSUER)));
    fn is_shared<T: Clone + Send + Sync + 'static>() {}
    is_shared::<ClientAssertion>();
    is_shared::<ClientAssertion<ClientSecret>>();
    is_shared::<SigningKey>();
}

impl SignAssertion for Service {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn key_id(&self) -> Option<&str> {
        Some("service")
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.asked.lock().unwrap().push(message.to_vec());
        tokio::task::yield_now().await;
        self.answer.clone()
    }
}

fn okp() -> SigningKey {
    SigningKey::from_jwk(OKP).unwrap()
}

fn parts(jwt: &str) -> (Value, Value) {
    let mut parts = jwt.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    let [header, claims, _signature] = [(); 3].map(|()| parts.next().unwrap());
    assert!(parts.next().is_none());
    (serde_json::from_slice(&header).unwrap(), serde_json::from_slice(&claims).unwrap())
}
