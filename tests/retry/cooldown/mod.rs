//! One 429 holds all clones of a client: none of them early, all of them in the end.

mod crowd;
mod limits;
mod log;
mod pacing;
mod server;
mod stack;
mod who;
