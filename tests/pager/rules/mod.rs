//! Where the next page is, and what is sent to get it.

mod auto;
mod cursors;
mod flags;
mod links;
mod numbers;
mod offsets;
mod requests;
mod together;

const URL: &str = "https://api.example.com/v2/users?page=1";
