//! What the process has used of the processors.

use cpu_time::ProcessTime;

/// Seconds of all threads so far, user and system.
pub fn cpu_seconds() -> f64 {
    ProcessTime::now().as_duration().as_secs_f64()
}
