//! What the single flight needs of std and tokio, or what stands in for it where its interleavings are tried:
//! `CONTRIBUTING.md` has the commands.

#[cfg(not(all(test, any(tower_oauth2_loom, tower_oauth2_shuttle))))]
pub(super) use std::sync::{
    RwLock, RwLockReadGuard,
    atomic::{AtomicBool, AtomicU64},
};
#[cfg(not(all(test, any(tower_oauth2_loom, tower_oauth2_shuttle))))]
pub(super) use tokio::{runtime::Handle, sync::Notify, time::sleep_until};

#[cfg(all(test, any(tower_oauth2_loom, tower_oauth2_shuttle)))]
pub(super) use self::model::{AtomicBool, AtomicU64, Handle, Notify, RwLock, RwLockReadGuard, sleep_until};

#[cfg(all(test, any(tower_oauth2_loom, tower_oauth2_shuttle)))]
#[path = "sync_model.rs"]
mod model;
#[cfg(all(test, any(tower_oauth2_loom, tower_oauth2_shuttle)))]
#[path = "sync_tests.rs"]
mod tests;
