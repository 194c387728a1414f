//! What the system says of this process, under the names that every exporter uses. Linux only: elsewhere it says nothing.

use std::fs;

/// How the process stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Process {
    /// Memory it has in RAM, in bytes.
    pub resident: u64,
    /// Seconds of all its threads on all cores.
    pub cpu: f64,
    /// Files and sockets it has open.
    pub descriptors: u64,
}

/// The system counts CPU time in hundredths of a second for every program, whatever its own clock.
const TICKS: f64 = 100.0;

/// Looks at `/proc`. None where there is none.
pub fn look() -> Option<Process> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name may hold blanks; after its bracket the user's and the system's time are the 12th and 13th value.
    let mut times = stat.rsplit_once(')')?.1.split_whitespace().skip(11).map(str::parse::<f64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    let descriptors = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(Process { resident: kibibytes * 1024, cpu: (user + system) / TICKS, descriptors })
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_what_it_takes() {
        let before = look().unwrap();
        assert!(before.resident > 1 << 20 && before.descriptors >= 3, "{before:?}");
        let (held, file) = (vec![1u8; 64 << 20], fs::File::open("/proc/self/stat").unwrap());
        let mut sum = 0_u64;
        while sum == 0 || look().unwrap().cpu == before.cpu {
            sum += held.iter().map(|&byte| u64::from(byte)).sum::<u64>();
        }
        let after = look().unwrap();
        assert!(after.resident > before.resident + (32 << 20) && sum > 0, "{before:?} {after:?}");
        drop(file);
    }
}
