//! An authorization server and an analytics API, in process.
