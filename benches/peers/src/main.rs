//! See the library.

fn main() {
    if !peers::answered() {
        peers::compare();
    }
}
