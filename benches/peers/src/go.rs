//! golang.org/x/oauth2, by a program in Go, if there is a `go` here.

use std::{env, process::Command};

/// Its row: what it says it is, and the figures. `url` is that of a server.
pub(crate) fn row(url: &str) -> (&'static str, Vec<f64>) {
    let main = concat!(env!("CARGO_MANIFEST_DIR"), "/go/main.go");
    // Debian's packages of libraries are there, and are no modules.
    let path = env::var_os("GOPATH").unwrap_or_else(|| "/usr/share/gocode".into());
    let Ok(output) = Command::new("go").args(["run", main, url]).env("GO111MODULE", "off").env("GOPATH", path).output()
    else {
        return ("x/oauth2: no `go` here", vec![f64::NAN; crate::COLUMNS.len()]);
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ("x/oauth2, ÷ its own static", serde_json::from_slice(&output.stdout).expect("figures"))
}
