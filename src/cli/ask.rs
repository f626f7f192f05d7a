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
/// keep it to itself. Ctrl-C ends the process, and leaves the terminal as it was.
pub fn hidden(question: &str) -> Option<Zeroizing<String>> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).ok()?;
    let mut quiet = before.clone();
    // Signals of keys are ours meanwhile: a process that they ended would leave the terminal mute.
    quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(format!("{question}: ").as_bytes()).and_then(|()| stderr.flush()).ok()?;
    tcsetattr(&stdin, OptionalActions::Flush, &quiet).ok()?;
    let typed = unseen(&mut stdin.lock());
    let _ = tcsetattr(&stdin, OptionalActions::Now, &before);
    let _ = stderr.write_all(b"\n");
    match typed {
        Typed::Interrupted => std::process::exit(super::exit::Exit::Interrupted as i32),
        Typed::Text(bytes) => {
            let text = Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned());
            (!text.is_empty()).then_some(text)
        }
    }
}

enum Typed {
    Text(Zeroizing<Vec<u8>>),
    Interrupted,
}

/// A line as its keys come in.
fn unseen(input: &mut impl std::io::Read) -> Typed {
    // Room beforehand: growing would leave a copy behind.
    let mut typed = Zeroizing::new(Vec::with_capacity(1 << 12));
    let mut key = [0];
    while typed.len() < 1 << 12 && input.read(&mut key).is_ok_and(|count| count == 1) {
        match key[0] {
            b'\r' | b'\n' | 0x04 => break,
            0x03 => return Typed::Interrupted,
            // One character back, which may be several bytes.
            0x08 | 0x7f => while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            0x15 => typed.clear(),
            byte => typed.push(byte),
        }
    }
    Typed::Text(typed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_line() {
        let typed = |keys: &str| match unseen(&mut keys.as_bytes()) {
            Typed::Text(bytes) => String::from_utf8(bytes.to_vec()).ok(),
            Typed::Interrupted => None,
        };
        assert_eq!(typed("horse\nrest").as_deref(), Some("horse"));
        assert_eq!(typed("h\u{e9}\x7fo\x7f\x7f\x7fhorse\r").as_deref(), Some("horse"));
        assert_eq!(typed("wrong\x15horse").as_deref(), Some("horse"));
        assert_eq!(typed("hor\x03se\n"), None);
        assert_eq!(typed("").as_deref(), Some(""));
    }
}
