//! kubectl's credential plugins are programs: here it is this one, which asks the issuer.

use std::{
    env,
    io::{Read, Write},
    net::TcpStream,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// What calls this program as a plugin passes it, and where to ask.
pub(crate) const ARGUMENT: &str = "--credential-plugin";

/// Whether it was called as a plugin, and has said what it has to.
#[must_use]
pub fn answered() -> bool {
    let mut arguments = env::args().skip(1);
    let called = arguments.next().is_some_and(|argument| argument == ARGUMENT);
    if called {
        println!("{}", credential(&arguments.next().expect("where to ask")));
    }
    called
}

fn credential(url: &str) -> Value {
    let host = url.trim_start_matches("http://").trim_end_matches("/token");
    let mut stream = TcpStream::connect(host).expect("the issuer");
    write!(stream, "POST /token HTTP/1.0\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n").expect("the issuer");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a response");
    let answer: Value = serde_json::from_str(body).expect("JSON");
    let holds = SignedDuration::from_secs(answer["expires_in"].as_i64().expect("a number"));
    json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": { "token": answer["access_token"], "expirationTimestamp": (Timestamp::now() + holds).to_string() },
    })
}
