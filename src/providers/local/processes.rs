//! What the system knows of processes. Linux tells it in /proc; elsewhere `ps` is asked.
//!
//! A pid is reused, so a process is known by its pid *and* the moment it started, within one boot of the machine.

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

/// A live process (neither gone nor a zombie).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    pub pid: i32,
    /// When it started, as the system writes it; with the pid unique within one boot.
    pub started: String,
    /// The session on Linux, the process group elsewhere: the pid of the process that was started as its leader.
    pub session: i32,
}

/// The process with that pid, if it is alive.
pub fn look(pid: i32) -> Option<Process> {
    system::look(pid)
}

/// All live processes.
pub fn all() -> Vec<Process> {
    system::all()
}

/// Whether the environment that a process was started with holds `name=value`. `None` where that cannot be read: another
/// user's process, or one that has written over it.
pub fn bears(pid: i32, name: &str, value: &str) -> Option<bool> {
    system::bears(pid, name, value)
}

/// Differs after each start of the machine.
pub fn boot() -> String {
    system::boot()
}

/// The exit of a child of ours, where it is one and has ended.
pub fn reap(pid: i32) -> Option<WaitStatus> {
    let pid = Pid::from_raw(pid)?;
    rustix::process::waitpid(Some(pid), WaitOptions::NOHANG).ok().flatten().map(|(_, status)| status)
}

/// Sends a signal to one process. One that has gone meanwhile is fine.
pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        rustix::process::kill_process(pid, signal).ok();
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;

    use super::Process;

    pub fn look(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        parse_stat(pid, &stat)
    }

    pub fn all() -> Vec<Process> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(look).collect()
    }

    pub fn bears(pid: i32, name: &str, value: &str) -> Option<bool> {
        let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let mut variables = environ.split(|byte| *byte == 0);
        let found = variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        found.map(|found| found == value.as_bytes())
    }

    pub fn boot() -> String {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
    }

    /// Fields 3 (state), 6 (session) and 22 (start time in ticks since boot) of proc(5); the name in field 2 may hold anything,
    /// so counting starts after its last parenthesis.
    pub(super) fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let (state, session, started) = (*fields.first()?, fields.get(3)?.parse().ok()?, *fields.get(19)?);
        (!matches!(state, "Z" | "X" | "x")).then(|| Process { pid, started: started.to_owned(), session })
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Process, ps};

    pub fn look(pid: i32) -> Option<Process> {
        ps(&["-o", "pid=,pgid=,stat=,lstart=", "-p", &pid.to_string()]).lines().find_map(super::parse_ps)
    }

    pub fn all() -> Vec<Process> {
        ps(&["-axo", "pid=,pgid=,stat=,lstart="]).lines().filter_map(super::parse_ps).collect()
    }

    pub fn bears(pid: i32, name: &str, value: &str) -> Option<bool> {
        let shown = ps(&["-Eww", "-o", "command=", "-p", &pid.to_string()]);
        let found = shown.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.map(|found| found == value)
    }

    pub fn boot() -> String {
        let asked = std::process::Command::new("sysctl").args(["-n", "kern.boottime"]).output();
        asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    }
}

#[cfg(any(test, not(target_os = "linux")))]
fn ps(arguments: &[&str]) -> String {
    let asked = std::process::Command::new("ps").args(arguments).env("LC_ALL", "C").output();
    asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// A line of `ps -o pid=,pgid=,stat=,lstart=`.
#[cfg(any(test, not(target_os = "linux")))]
fn parse_ps(line: &str) -> Option<Process> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (pid, session, state, started) = (words.first()?, words.get(1)?, words.get(2)?, words.get(3..)?);
    let alive = !state.starts_with('Z') && !started.is_empty();
    alive.then_some(Process { pid: pid.parse().ok()?, session: session.parse().ok()?, started: started.join(" ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_with_its_start_and_one_that_never_was_is_not() {
        let me = i32::try_from(std::process::id()).expect("pids are positive");
        let seen = look(me).expect("this process lives");
        assert_eq!(look(me), Some(seen.clone()), "its start does not change");
        assert!(all().contains(&seen));
        assert_eq!(look(i32::MAX), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_full_of_parentheses_and_spaces_hides_nothing_and_zombies_are_dead() {
        let stat = "77 (a) Z (b) S 1 77 70 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1000 200 1844";
        assert_eq!(system::parse_stat(77, stat), Some(Process { pid: 77, started: "12345".into(), session: 70 }));
        assert_eq!(system::parse_stat(77, &stat.replace(") S ", ") Z ")), None);
        assert_eq!(system::parse_stat(77, "garbage"), None);
    }

    #[test]
    fn a_line_of_ps_is_read_where_there_is_no_proc() {
        let line = "  501   480 Ss   Tue Nov 24 06:38:23 2026";
        let seen = parse_ps(line).expect("a live process");
        assert_eq!((seen.pid, seen.session, &*seen.started), (501, 480, "Tue Nov 24 06:38:23 2026"));
        assert_eq!(parse_ps(&line.replace("Ss", "Z+")), None);

        let me = std::process::id().to_string();
        match ps(&["-o", "pid=,pgid=,stat=,lstart=", "-p", &me]) {
            said if said.is_empty() => println!("skipped: needs ps"),
            said => assert_eq!(said.lines().find_map(parse_ps).expect("this process lives").pid.to_string(), me),
        }
    }
}
