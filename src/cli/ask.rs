//! Asking a person, on a terminal only.

use std::io::{BufRead, Write};

use zeroize::Zeroizing;

use super::output::Output;

/// What somebody answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Yes,
    No,
    Details,
}

/// Whether anybody can be asked.
pub fn can_ask(output: &Output) -> bool {
    use std::io::IsTerminal;
    output.about.asks && !output.no_input && !output.json && std::io::stdin().is_terminal()
}

/// `question [y/N/d=details]`. The end of the input is a no.
pub fn yes_no_details(question: &str) -> Answer {
    match line(&format!("{question} [y/N/d=details] ")).as_deref().map(str::trim) {
        Some("y" | "Y" | "yes") => Answer::Yes,
        Some("d" | "D" | "details") => Answer::Details,
        _ => Answer::No,
    }
}

/// Whether somebody types exactly that text.
pub fn typed(question: &str, expected: &str) -> bool {
    line(&format!("{question}: ")).is_some_and(|line| line.trim() == expected)
}

/// What somebody types without it being shown. `None` at the end of the input, where nothing was typed, or where the terminal cannot
/// keep it to itself.
pub fn hidden(question: &str) -> Option<Zeroizing<String>> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).ok()?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    quiet.local_modes.insert(LocalModes::ECHONL);
    tcsetattr(&stdin, OptionalActions::Flush, &quiet).ok()?;
    let typed = line(&format!("{question}: ")).map(Zeroizing::new);
    let _ = tcsetattr(&stdin, OptionalActions::Now, &before);
    let typed = Zeroizing::new(typed?.trim_end_matches(['\r', '\n']).to_owned());
    (!typed.is_empty()).then_some(typed)
}

fn line(prompt: &str) -> Option<String> {
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(prompt.as_bytes()).and_then(|()| stderr.flush()).ok()?;
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line),
    }
}
