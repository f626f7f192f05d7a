//! What the place that we print to can do, and colours for it.

use std::io::IsTerminal;

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// One stream: how wide it is, and what it shows.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    pub width: usize,
    pub color: bool,
    pub unicode: bool,
    /// Lines may be drawn again in place.
    pub moves: bool,
    /// `--plain`: label and value, no symbols.
    pub plain: bool,
    /// A person can be asked.
    pub asks: bool,
}

/// The sixteen theme colours that we use, by what they mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Good,
    Bad,
    Change,
    Data,
    Quiet,
    Strong,
}

impl Terminal {
    /// Never coloured or moving: for files, tests and `--plain`.
    pub fn paper(width: usize) -> Terminal {
        Terminal { width, color: false, unicode: true, moves: false, plain: false, asks: false }
    }

    /// Decides by `--color`, then `NO_COLOR`, `CLICOLOR_FORCE` or `FORCE_COLOR`, `TERM=dumb`, then whether it is a terminal.
    pub fn of(stream: &impl IsTerminal, choice: ColorChoice, plain: bool, variable: impl Fn(&str) -> Option<String>) -> Terminal {
        let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let is_terminal = stream.is_terminal();
        let ci = set("CI");
        let dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let color = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if set("NO_COLOR") => false,
            ColorChoice::Auto if set("CLICOLOR_FORCE") || set("FORCE_COLOR") => true,
            ColorChoice::Auto => !dumb && (is_terminal || set("GITHUB_ACTIONS")),
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let unicode = !locale.is_some_and(|it| it == "C" || it == "POSIX") || set("STACKWRIGHT_UNICODE");
        let width = variable("COLUMNS").and_then(|it| it.parse().ok()).or_else(|| is_terminal.then(terminal_width).flatten());
        Terminal {
            width: width.unwrap_or(120).clamp(40, 200),
            color: color && !plain,
            unicode: unicode && !plain,
            moves: is_terminal && !ci && !dumb && !plain && !set("NO_COLOR"),
            plain,
            asks: is_terminal && !ci,
        }
    }

    pub fn paint(&self, ink: Ink, text: impl std::fmt::Display) -> String {
        if !self.color {
            return text.to_string();
        }
        let code = match ink {
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Change => "33",
            Ink::Data => "36",
            Ink::Quiet => "2",
            Ink::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// `unicode` where it can be shown, else `ascii`.
    pub fn pick(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }
}

fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col as usize)
}

/// How many columns a text takes, colours left out.
pub fn columns(text: &str) -> usize {
    let mut width = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => drop(chars.by_ref().find(|c| *c == 'm')),
            c => width += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0),
        }
    }
    width
}

/// `left`, then `right` flush with the right edge; on a line of its own where both do not fit.
pub fn spread(terminal: &Terminal, left: &str, right: &str) -> String {
    let (l, r) = (columns(left), columns(right));
    if right.is_empty() {
        return left.to_owned();
    }
    if l + r + 2 > terminal.width.min(100) {
        return format!("{left}\n        {right}");
    }
    format!("{left}{}{right}", " ".repeat(terminal.width.min(100) - l - r))
}
