//! Allocations of each contestant, for the program that prints the table: the allocator that counts them takes time.

use allocation_counter::measure;

fn main() {
    if !peers::answered() {
        peers::count(|run| measure(run).count_total);
    }
}
