//! What this crate, and whatever is under it, logs.
#![allow(dead_code, reason = "each test uses its own part")]

use std::{
    io,
    sync::{Arc, LazyLock, Mutex},
};

use serde_json::Value;
use tracing::{Dispatch, subscriber::NoSubscriber};
use tracing_subscriber::{
    filter::LevelFilter,
    fmt::MakeWriter,
    util::{SubscriberInitExt, TryInitError},
};

/// One line of JSON for each event. Clones are the same log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Of this thread, as long as what comes back is kept.
    pub(crate) fn listen(&self) -> impl Sized + use<> {
        LazyLock::force(&OTHERS);
        let subscriber = tracing_subscriber::fmt().json().with_max_level(LevelFilter::TRACE);
        subscriber.with_writer(self.clone()).finish().set_default()
    }

    /// Of all threads, once in a process.
    pub(crate) fn listen_everywhere(&self) -> Result<(), TryInitError> {
        let subscriber = tracing_subscriber::fmt().json().with_max_level(LevelFilter::TRACE);
        subscriber.with_writer(self.clone()).finish().try_init()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        let events = self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
        let ours = |event: &Value| event["target"].as_str().unwrap().starts_with("tower_oauth2");
        events.into_iter().filter(ours).collect()
    }

    /// The fields of the last event.
    pub(crate) fn last(&self) -> Value {
        self.events().pop().unwrap()["fields"].take()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let warnings = self.events().into_iter().filter(|event| event["level"] == "WARN");
        warnings.map(|event| event["fields"]["message"].as_str().unwrap().to_owned()).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// As long as there is one listener in a process, an event that another thread is the first to come by is off for all, if that
/// thread does not listen. With others, each listener is asked.
static OTHERS: LazyLock<[Dispatch; 2]> = LazyLock::new(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::new())));
