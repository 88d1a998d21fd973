//! CPU time and memory of a process and its children, as the kernel counts them.

use std::{fs, time::Duration};

use anyhow::Context;

/// A tick of `/proc/PID/stat`: Linux shows 100 a second on every platform.
const TICK: Duration = Duration::from_millis(10);
/// Between two looks whether a process is at rest.
const SETTLE_PAUSE: Duration = Duration::from_millis(300);
/// How often that is looked at.
const SETTLE_LOOKS: u32 = 100;

/// User and system time so far, children that run included.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc").context("CPU time is read from /proc: Linux only")? {
        let Ok(entry) = entry else { continue };
        let Some(stat) = stat(&entry.path().join("stat").display().to_string()) else { continue };
        if stat.pid == pid || stat.parent == pid {
            ticks += stat.ticks;
        }
    }
    Ok(TICK * ticks)
}

/// Waits until a process has worked off what it put by (usage on its way to the store).
pub fn settle(pid: u32) -> anyhow::Result<()> {
    let mut before = cpu(pid)?;
    for _ in 0..SETTLE_LOOKS {
        std::thread::sleep(SETTLE_PAUSE);
        let now = cpu(pid)?;
        if now.saturating_sub(before) <= TICK {
            return Ok(());
        }
        before = now;
    }
    Ok(())
}

/// User and system time of the threads whose names begin with `name`.
pub fn cpu_of_threads(pid: u32, name: &str) -> anyhow::Result<Duration> {
    let mut ticks = 0;
    for entry in fs::read_dir(format!("/proc/{pid}/task"))?.filter_map(Result::ok) {
        let path = entry.path();
        let is_named = fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.starts_with(name));
        if is_named && let Some(stat) = stat(&path.join("stat").display().to_string()) {
            ticks += stat.ticks;
        }
    }
    Ok(TICK * ticks)
}

/// Resident memory in bytes.
pub fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1_024)
}

struct Stat {
    pid: u32,
    parent: u32,
    ticks: u32,
}

fn stat(path: &str) -> Option<Stat> {
    let text = fs::read_to_string(path).ok()?;
    let pid = text.split(' ').next()?.parse().ok()?;
    // The name is in brackets and may hold anything: what follows it is plain.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
    Some(Stat { pid, parent: number(1)?, ticks: number(11)? + number(12)? })
}
