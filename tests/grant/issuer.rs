//! Grants that ask a `testing::Issuer`, and a place to keep refresh tokens.
#![allow(dead_code, reason = "not every test root takes every step")]

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::sleep;
use tower_oauth2::{
    grant::{ClientAuth, RefreshToken, Secret},
    testing::Issuer,
};

pub(crate) const URL: &str = "https://login.example.com/oauth/token";

/// Where refresh tokens are kept, as a disk would. Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    begun: Vec<String>,
    kept: Vec<String>,
    delay: Duration,
    faults: Vec<Fault>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Fail,
    Hang,
    Panic,
}

impl Disk {
    pub(crate) fn slow(delay: Duration) -> Self {
        let disk = Self::default();
        disk.inner.lock().unwrap().delay = delay;
        disk
    }

    /// What goes wrong next, before all is well.
    pub(crate) fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.lock().unwrap().faults.extend(faults);
    }

    /// What it was given to keep.
    pub(crate) fn begun(&self) -> Vec<String> {
        self.inner.lock().unwrap().begun.clone()
    }

    /// What it has kept.
    pub(crate) fn kept(&self) -> Vec<String> {
        self.inner.lock().unwrap().kept.clone()
    }

    async fn keep(self, next: String) -> io::Result<()> {
        let (delay, fault) = {
            let mut inner = self.inner.lock().unwrap();
            inner.begun.push(next.clone());
            let fault = if inner.faults.is_empty() { None } else { Some(inner.faults.remove(0)) };
            (inner.delay, fault)
        };
        sleep(delay).await;
        match fault {
            Some(Fault::Fail) => return Err(io::Error::other("the disk is full")),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Panic) => panic!("the disk panics"),
            None => self.inner.lock().unwrap().kept.push(next),
        }
        Ok(())
    }
}

pub(crate) fn auth() -> ClientAuth {
    ClientAuth::basic("test-client", "test-secret")
}

pub(crate) fn refresh(issuer: &Issuer, first: impl Into<Secret>, disk: &Disk) -> RefreshToken {
    let disk = disk.clone();
    RefreshToken::new(issuer.service(), URL, auth(), first, move |next| disk.clone().keep(next)).unwrap()
}

/// For a user who has just signed in.
pub(crate) fn signed_in(issuer: &Issuer, disk: &Disk) -> RefreshToken {
    refresh(issuer, issuer.sign_in(), disk)
}

/// The refresh tokens that the issuer was sent.
pub(crate) fn sent(issuer: &Issuer) -> Vec<String> {
    issuer.seen().iter().map(|request| request.param("refresh_token").unwrap().to_owned()).collect()
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
