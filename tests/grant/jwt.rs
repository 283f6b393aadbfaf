//! Keys for `private_key_jwt`: what is read from PEM and JWK, that its signatures are those of the key, and that none of it
//! is ever shown. Another library makes the keys, anew for each run, and verifies.

use std::{error::Error as StdError, fmt::Write as _, sync::LazyLock};

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING,
        ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, ED25519,
        EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256,
        RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tower_oauth2::{
    Error,
    grant::assertion::{Algorithm, ClientAssertion, SignAssertion, SigningKey},
};

const ASYMMETRIC: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

/// A key in all its spellings.
struct Key {
    /// With the algorithms that can use it.
    algorithms: &'static [Algorithm],
    pem: Vec<String>,
    jwk: Value,
    public: Vec<u8>,
    /// What must not be shown, in any spelling.
    secrets: Vec<Vec<u8>>,
}

static RSA: LazyLock<Key> = LazyLock::new(|| rsa(KeySize::Rsa2048));
static P256: LazyLock<Key> = LazyLock::new(|| ec(Algorithm::ES256));
static P384: LazyLock<Key> = LazyLock::new(|| ec(Algorithm::ES384));
static OKP: LazyLock<Key> = LazyLock::new(okp);

fn keys() -> [&'static Key; 4] {
    [&RSA, &P256, &P384, &OKP]
}

#[tokio::test]
async fn every_spelling_of_a_key_signs_what_another_library_verifies() {
    let message = b"eyJhbGciOiJub25lIn0.e30";
    for key in keys() {
        for &algorithm in key.algorithms {
            let public = UnparsedPublicKey::new(verifier(algorithm), &key.public);
            let mut read: Vec<_> = key.pem.iter().map(|pem| SigningKey::from_pem(algorithm, pem).unwrap()).collect();
            read.push(SigningKey::from_jwk_as(algorithm, key.jwk.to_string()).unwrap());
            for key in read {
                assert_eq!(key.algorithm(), algorithm);
                let signature = key.sign(message).await.unwrap();
                public.verify(message, &signature).unwrap_or_else(|_| panic!("{key:?}"));
                assert!(public.verify(&message[1..], &signature).is_err(), "the verifier is alive");
            }
        }
    }
}

#[tokio::test]
async fn rsa_keys_of_all_lengths_that_are_in_use_sign() {
    for (size, bytes) in [(KeySize::Rsa3072, 384), (KeySize::Rsa4096, 512)] {
        let key = rsa(size);
        let signature = SigningKey::from_pem(Algorithm::PS256, &key.pem[0]).unwrap().sign(b"m").await.unwrap();
        assert_eq!(signature.len(), bytes);
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &key.public).verify(b"m", &signature).unwrap();
    }
}

#[test]
fn a_jwk_brings_its_algorithm_and_its_key_id() {
    for key in keys() {
        for &algorithm in key.algorithms {
            let mut jwk = key.jwk.clone();
            jwk["alg"] = algorithm.as_str().into();
            jwk["kid"] = "k/1 \"ü".into();
            // Spaces, an escape and a member that nobody knows.
            let text = serde_json::to_string_pretty(&jwk).unwrap().replace("k/1", "k\\/1");
            let read = SigningKey::from_jwk(text.replacen('{', r#"{"x5c":["…"],"#, 1)).unwrap();
            assert_eq!((read.algorithm(), read.key_id()), (algorithm, Some("k/1 \"ü")));
            assert_eq!(read.with_key_id("other").key_id(), Some("other"));
        }
    }
    for (key, algorithm) in [(&*P256, Algorithm::ES256), (&P384, Algorithm::ES384), (&OKP, Algorithm::EdDSA)] {
        let read = SigningKey::from_jwk(key.jwk.to_string()).unwrap();
        assert_eq!((read.algorithm(), read.key_id()), (algorithm, None), "the curve tells");
    }
    assert!(refused(SigningKey::from_jwk(RSA.jwk.to_string())).contains("say RS256 or PS256"));
    let mut jwk = RSA.jwk.clone();
    jwk["alg"] = "RS256".into();
    let forced = SigningKey::from_jwk_as(Algorithm::PS256, jwk.to_string()).unwrap();
    assert_eq!(forced.algorithm(), Algorithm::PS256, "the caller knows better");
}

#[test]
fn a_key_of_another_kind_is_refused_and_the_error_says_what_is_needed() {
    for key in keys() {
        for algorithm in ASYMMETRIC.into_iter().filter(|algorithm| !key.algorithms.contains(algorithm)) {
            for pem in &key.pem {
                let problem = refused(SigningKey::from_pem(algorithm, pem));
                assert!(problem.contains("wrong kind") && problem.contains(algorithm.as_str()), "{problem}");
            }
            let problem = refused(SigningKey::from_jwk_as(algorithm, key.jwk.to_string()));
            assert!(problem.contains("wrong kind") && problem.contains(algorithm.as_str()), "{problem}");
        }
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let problem = refused(SigningKey::from_pem(algorithm, &key.pem[0]));
            assert!(problem.contains("with_client_secret"), "{problem}");
        }
    }
    let oct = json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"});
    assert!(refused(SigningKey::from_jwk(oct.to_string())).contains("with_client_secret"));
}

#[test]
fn a_pem_without_a_usable_private_key_says_what_it_has_instead() {
    let (key, rsa) = (&P256.pem[0], &RSA.pem[1]);
    let cut = key.rsplit_once("-----END").unwrap().0;
    for (pem, said) in [
        (String::new(), "not PEM"),
        ("nothing of the kind".to_owned(), "not PEM"),
        ("-----BEGIN PRIVATE KEY".to_owned(), "not PEM"),
        (key.replace("PRIVATE", "PUBLIC"), "no private key"),
        (key.replace("PRIVATE KEY", "CERTIFICATE"), "no private key"),
        (key.replace("PRIVATE", "ENCRYPTED PRIVATE"), "is encrypted"),
        (
            rsa.replacen("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1),
            "is encrypted",
        ),
        (key.replace("PRIVATE", "OPENSSH PRIVATE"), "ssh-keygen"),
        (format!("{key}{rsa}"), "more than one"),
        (cut.to_owned(), "cut off"),
        (key.replace("-----END", "-----END EC"), "cut off"),
        (key.replacen("KEY-----\n", "KEY-----\n!", 1), "not base64"),
        (pem("PRIVATE KEY", &[0x30, 3, 2, 1, 0]), "cannot be read"),
        (pem("EC PRIVATE KEY", b""), "cannot be read"),
    ] {
        let problem = refused(SigningKey::from_pem(Algorithm::ES256, &pem));
        assert!(problem.contains(said), "{said}: {problem}");
    }
    assert!(refused(SigningKey::from_pem(Algorithm::ES256, b"\xff\xfe")).contains("not even text"));
}

#[test]
fn what_surrounds_a_private_key_does_not_matter() {
    let parameters = pem("EC PARAMETERS", &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    let certificate = pem("CERTIFICATE", b"whatever");
    for key in &P256.pem {
        let around = format!("Bag Attributes\n  friendlyName: x\n{parameters}{key}{certificate}");
        assert!(SigningKey::from_pem(Algorithm::ES256, around).is_ok());
        assert!(SigningKey::from_pem(Algorithm::ES256, key.replace('\n', "\r\n")).is_ok());
        assert!(SigningKey::from_pem(Algorithm::ES256, key.trim_end()).is_ok());
    }
}

#[test]
fn a_jwk_that_is_not_one_private_key_is_refused() {
    let set = json!({ "keys": [P256.jwk] }).to_string();
    let twice = P256.jwk.to_string().replacen('{', r#"{"d":"AAAA","#, 1);
    for (jwk, said) in [
        ("", "not JSON"),
        ("[]", "no private key"),
        ("{}", "no private key"),
        ("{\"kty\":\"EC\"", "not JSON"),
        (set.as_str(), "set of keys"),
        (twice.as_str(), "member twice"),
    ] {
        let problem = refused(SigningKey::from_jwk(jwk));
        assert!(problem.contains(said), "{said}: {problem}");
    }
    for (member, value, said) in [
        ("d", None, "no private key"),
        ("x", None, "no string `x`"),
        ("y", Some(json!(7)), "no string `y`"),
        ("y", Some(json!("AA==")), "base64url"),
        ("d", Some(json!("AA")), "do not belong together"),
        ("x", Some(P256.jwk["y"].clone()), "do not belong together"),
        ("use", Some(json!("enc")), "not for signatures"),
        ("alg", Some(json!("ES512")), "`alg`"),
        ("alg", Some(json!("ES384")), "P-384"),
        ("crv", Some(json!("P-521")), "`crv`"),
    ] {
        let problem = refused(SigningKey::from_jwk(changed(&P256.jwk, member, value)));
        assert!(problem.contains(said), "{said}: {problem}");
    }
}

#[test]
fn an_rsa_key_that_is_too_short_too_long_or_damaged_is_refused() {
    let bytes = |length: usize| Some(json!(URL_SAFE_NO_PAD.encode(vec![0xff; length])));
    for (member, value, said) in [
        ("n", bytes(128), "too short"),
        ("n", bytes(1024), "of this length"),
        ("n", bytes(256), "do not belong together"),
        ("qi", None, "no string `qi`"),
        ("oth", Some(json!([])), "two primes"),
        // Found by nothing but signing.
        ("dp", Some(RSA.jwk["dq"].clone()), "do not belong together"),
    ] {
        let problem = refused(SigningKey::from_jwk_as(Algorithm::RS256, changed(&RSA.jwk, member, value)));
        assert!(problem.contains(said), "{said}: {problem}");
    }
}

#[test]
fn a_signature_in_der_becomes_that_of_a_jwt() {
    for (algorithm, signing, key) in [
        (Algorithm::ES256, &ECDSA_P256_SHA256_ASN1_SIGNING, &*P256),
        (Algorithm::ES384, &ECDSA_P384_SHA384_ASN1_SIGNING, &P384),
    ] {
        let pkcs8 = unpem(&key.pem[0]);
        let service = EcdsaKeyPair::from_pkcs8(signing, &pkcs8).unwrap();
        // Enough for integers that are shorter, and that have a zero in front.
        for number in 0..300_u32 {
            let message = number.to_be_bytes();
            let der = service.sign(&SystemRandom::new(), &message).unwrap();
            let raw = algorithm.signature_from_der(der.as_ref()).unwrap();
            UnparsedPublicKey::new(verifier(algorithm), &key.public).verify(&message, &raw).unwrap();
            assert!(algorithm.signature_from_der(&raw).unwrap_err().is_config(), "converted already");
        }
    }
    assert!(Algorithm::EdDSA.signature_from_der(&[0x30, 0]).unwrap_err().is_config());
}

#[test]
fn nothing_that_is_printed_shows_a_key() {
    let mut shown = String::new();
    for key in keys() {
        for algorithm in ASYMMETRIC {
            let mut texts = key.pem.clone();
            // Damaged in every way that keeps most of the key.
            texts.extend(key.pem.iter().flat_map(|pem| {
                [
                    pem.replace("\nM", "\n!"),
                    pem.replace("-----END", ""),
                    pem.replace("PRIVATE", "PUBLIC"),
                    pem.repeat(2),
                ]
            }));
            for pem in texts {
                show(&mut shown, SigningKey::from_pem(algorithm, pem));
            }
            let mut texts = vec![key.jwk.to_string(), format!("{}}}", key.jwk), key.jwk.to_string().replace('"', "'")];
            for (name, value) in key.jwk.as_object().unwrap() {
                for damage in [json!(7), json!(format!("{}!", value.as_str().unwrap())), json!("AQAB"), json!([value])]
                {
                    texts.push(changed(&key.jwk, name, Some(damage)));
                }
            }
            for jwk in texts {
                show(&mut shown, SigningKey::from_jwk_as(algorithm, &jwk));
                show(&mut shown, SigningKey::from_jwk(jwk));
            }
        }
    }
    assert!(shown.contains("SigningKey") && shown.contains("do not belong together"), "something was shown");
    let lower = shown.to_lowercase();
    for secret in keys().iter().flat_map(|key| &key.secrets) {
        let hex: String = secret.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let numbers = format!("{:?}", &secret[..8]);
        for spelling in [hex, STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret), numbers] {
            // Any part of it: twelve characters are 48 bits at the least.
            for part in spelling.as_bytes().chunks(12).filter(|part| part.len() == 12) {
                let part = std::str::from_utf8(part).unwrap();
                assert!(!lower.contains(&part.to_lowercase()), "{part}");
            }
        }
    }
    // And none of the PEM, which is not aligned to the numbers in it.
    for line in keys().iter().flat_map(|key| &key.pem).flat_map(|pem| pem.lines()).filter(|line| !line.contains("---"))
    {
        assert!(!shown.contains(&line[..line.len().min(12)]));
    }
}

fn show(shown: &mut String, read: Result<SigningKey, Error>) {
    match read {
        Ok(key) => {
            write!(shown, "{key:?} {key:#?}").unwrap();
            write!(shown, "{:?}", ClientAssertion::new(key)).unwrap();
        }
        Err(error) => {
            let mut next: Option<&dyn StdError> = Some(&error);
            while let Some(error) = next {
                write!(shown, "{error} {error:?} {error:#?}").unwrap();
                next = error.source();
            }
        }
    }
}

fn refused(read: Result<SigningKey, Error>) -> String {
    let error = read.unwrap_err();
    assert!(error.is_config() && !error.is_transient());
    error.to_string()
}

fn changed(jwk: &Value, member: &str, value: Option<Value>) -> String {
    let mut jwk = jwk.as_object().unwrap().clone();
    match value {
        Some(value) => jwk.insert(member.to_owned(), value),
        None => jwk.remove(member),
    };
    Value::Object(jwk).to_string()
}

fn rsa(size: KeySize) -> Key {
    let pair = RsaKeyPair::generate(size).unwrap();
    let pkcs8 = pair.as_der().unwrap().as_ref().to_vec();
    // PrivateKeyInfo { version, algorithm, OCTET STRING { RSAPrivateKey { version, n, e, d, p, q, dp, dq, qi } } }
    let pkcs1 = elements(elements(&pkcs8)[0])[2].to_vec();
    let numbers: Vec<_> = elements(elements(&pkcs1)[0])[1..]
        .iter()
        .map(|number| number.strip_prefix(&[0]).unwrap_or(number).to_vec())
        .collect();
    let mut jwk = json!({"kty": "RSA"});
    for (name, number) in ["n", "e", "d", "p", "q", "dp", "dq", "qi"].iter().zip(&numbers) {
        jwk[name] = URL_SAFE_NO_PAD.encode(number).into();
    }
    Key {
        algorithms: &[Algorithm::RS256, Algorithm::PS256],
        pem: vec![pem("PRIVATE KEY", &pkcs8), pem("RSA PRIVATE KEY", &pkcs1)],
        jwk,
        public: pair.public_key().as_ref().to_vec(),
        secrets: numbers[2..].to_vec(),
    }
}

fn ec(algorithm: Algorithm) -> Key {
    let (signing, curve, algorithms): (&'static EcdsaSigningAlgorithm, _, &[_]) = match algorithm {
        Algorithm::ES256 => (&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", &[Algorithm::ES256]),
        _ => (&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384", &[Algorithm::ES384]),
    };
    let pair = EcdsaKeyPair::generate(signing).unwrap();
    let sec1 = pair.private_key().as_der().unwrap().as_ref().to_vec();
    let private = elements(elements(&sec1)[0])[1].to_vec();
    let public = pair.public_key().as_ref().to_vec();
    let (x, y) = public[1..].split_at(public.len() / 2);
    let [d, x, y] = [&private, x, y].map(|number| URL_SAFE_NO_PAD.encode(number));
    Key {
        algorithms,
        pem: vec![pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()), pem("EC PRIVATE KEY", &sec1)],
        jwk: json!({"kty": "EC", "crv": curve, "d": d, "x": x, "y": y}),
        public,
        secrets: vec![private],
    }
}

fn okp() -> Key {
    let pair = Ed25519KeyPair::generate().unwrap();
    let (v1, v2) = (pair.to_pkcs8v1().unwrap(), pair.to_pkcs8().unwrap());
    let private = elements(elements(elements(v1.as_ref())[0])[2])[0].to_vec();
    let public = pair.public_key().as_ref().to_vec();
    let [d, x] = [&private, &public].map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
    Key {
        algorithms: &[Algorithm::EdDSA],
        pem: vec![pem("PRIVATE KEY", v1.as_ref()), pem("PRIVATE KEY", v2.as_ref())],
        jwk: json!({"kty": "OKP", "crv": "Ed25519", "d": d, "x": x}),
        public,
        secrets: vec![private],
    }
}

fn verifier(algorithm: Algorithm) -> &'static dyn VerificationAlgorithm {
    match algorithm {
        Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED,
        _ => &ED25519,
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap());
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

fn unpem(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.contains("---")).collect();
    STANDARD.decode(base64).unwrap()
}

/// The contents of the DER elements in `der`.
fn elements(mut der: &[u8]) -> Vec<&[u8]> {
    let mut contents = Vec::new();
    while let [_tag, length, rest @ ..] = der {
        let (length, rest) = match length {
            0x81 => (rest[0].into(), &rest[1..]),
            0x82 => (usize::from(rest[0]) << 8 | usize::from(rest[1]), &rest[2..]),
            short => (usize::from(*short), rest),
        };
        let (content, rest) = rest.split_at(length);
        contents.push(content);
        der = rest;
    }
    contents
}
