//! An apply on the screen: what is done scrolls up and stays, what runs is drawn below it and drawn again. Where nothing can be
//! drawn again, the same facts as lines.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use tokio::sync::mpsc;

use super::escape::Escaped;
use super::output::Output;
use super::report::Shown;
use super::terminal::{Ink, Terminal, spread};
use crate::model::plan::Plan;
use crate::model::{Action, Sources};
use crate::ops::apply::{Event, Half, Recovered, StepName};
use crate::world::World;

/// At most this many running steps are shown.
const LIVE_MAX: usize = 8;
/// How often running steps are drawn again.
const FRAME: Duration = Duration::from_millis(120);
/// How often a line says what runs, where nothing can be drawn again.
const REPORT: Duration = Duration::from_secs(30);

/// Follows an apply until it is over.
pub struct Progress<'p> {
    pub plan: &'p Plan,
    pub sources: &'p Sources,
    pub output: &'p Output,
    pub world: &'p World,
}

struct Live {
    step: StepName,
    since: Duration,
    usual: Option<Duration>,
    note: String,
}

impl Progress<'_> {
    /// Reads events until the last sender is gone.
    pub async fn follow(&self, mut events: mpsc::UnboundedReceiver<Event>) {
        let terminal = self.output.about;
        let begun = self.now();
        let (mut running, mut done, mut total, mut drawn, mut frame) = (BTreeMap::<(u32, bool), Live>::new(), 0, 0, 0, 0usize);
        let mut reported = begun;
        let mut notices = self.output.notices.take();
        loop {
            let mut lines = Vec::new();
            let event = tokio::select! {
                biased;
                event = events.recv() => match event {
                    Some(event) => Some(event),
                    None => break,
                },
                Some(line) = notices.recv() => {
                    lines.push(line);
                    None
                }
                () = self.world.clock.sleep(FRAME), if !running.is_empty() => None,
            };
            if let Some(event) = event {
                self.take(event, &mut running, &mut done, &mut total, &mut lines);
            }
            if self.output.quiet {
                continue;
            }
            let mut out = if drawn > 0 { format!("\x1b[{drawn}A\x1b[J") } else { String::new() };
            lines.iter().for_each(|line| out.push_str(&format!("{line}\n")));
            drawn = 0;
            if terminal.moves && !running.is_empty() {
                frame += 1;
                let live = self.live(&running, done, total, self.now() - begun, frame);
                drawn = live.len();
                live.iter().for_each(|line| out.push_str(&format!("{line}\n")));
            } else if !terminal.moves && !running.is_empty() && self.now() - reported >= REPORT {
                reported = self.now();
                let names: Vec<String> =
                    running.values().take(LIVE_MAX).map(|it| Escaped(it.step.address.as_str()).to_string()).collect();
                out.push_str(&format!(
                    "  running {} for {}, {done} of {total} done\n",
                    names.join(", "),
                    clock(self.now() - begun)
                ));
            }
            let _ = std::io::stderr().lock().write_all(out.as_bytes());
        }
        if drawn > 0 {
            let _ = write!(std::io::stderr(), "\x1b[{drawn}A\x1b[J");
        }
    }

    fn now(&self) -> Duration {
        self.world.clock.elapsed()
    }

    fn take(
        &self,
        event: Event,
        running: &mut BTreeMap<(u32, bool), Live>,
        done: &mut usize,
        total: &mut usize,
        lines: &mut Vec<String>,
    ) {
        let key = |step: &StepName| (step.change, step.half == Half::Unmake);
        match event {
            Event::Settled(it) => lines.push(settled(&self.output.about, &it)),
            Event::Laid { steps } => *total = steps.len(),
            Event::Started { step, usual } => {
                running.insert(key(&step), Live { since: self.now(), usual, note: String::new(), step });
            }
            Event::Throttled { step, wait } => {
                if let Some(live) = running.get_mut(&key(&step)) {
                    live.note = format!("throttled, waits {:.1} s", wait.as_secs_f64());
                }
            }
            Event::Retrying { step, attempt, wait, why } => {
                let note =
                    format!("attempt {attempt}: {}; again in {:.1} s", super::escape::clipped(&why, 120), wait.as_secs_f64());
                if !self.output.about.moves {
                    lines.push(format!("  {}  {note}", Escaped(step.address.as_str())));
                }
                if let Some(live) = running.get_mut(&key(&step)) {
                    live.note = note;
                }
            }
            Event::Done { step, took, same } => {
                running.remove(&key(&step));
                *done += 1;
                lines.push(self.done(&step, took, same));
            }
            Event::Failed { step, took, diagnostic } => {
                running.remove(&key(&step));
                let terminal = self.output.about;
                let head = terminal.paint(Ink::Bad, format!("  x {}", Escaped(step.address.as_str())));
                lines.push(spread(&terminal, &format!("{head}  failed"), &clock(took)));
                lines.push(Shown::new(&diagnostic, self.sources, terminal).render().trim_end().to_owned());
            }
            Event::Required { address, diagnostic } => {
                let terminal = self.output.about;
                lines.push(terminal.paint(Ink::Bad, format!("  x {}  a requirement does not hold", Escaped(address.as_str()))));
                lines.push(Shown::new(&diagnostic, self.sources, terminal).render().trim_end().to_owned());
            }
            Event::NotStarted { .. } => {}
            Event::Stopping { running: calls } => {
                lines.push(match calls {
                    0 => "  stopping: nothing new starts".to_owned(),
                    calls => format!(
                        "  stopping: nothing new starts, {} running may end; again to leave at once",
                        super::report::count(calls, "call")
                    ),
                });
            }
            Event::Abandoned { step } => {
                running.remove(&key(&step));
                lines.push(format!(
                    "  ? {}  left while running; the next apply looks what became of it",
                    Escaped(step.address.as_str())
                ));
            }
        }
    }

    fn done(&self, step: &StepName, took: Duration, same: bool) -> String {
        let (symbol, ink) = symbol(&self.output.about, step);
        let verb = if same { "same as before" } else { verb(step, &self.plan.changes[step.change as usize].action, true) };
        let head = self.output.about.paint(ink, format!("  {symbol} {}", Escaped(step.address.as_str())));
        spread(&self.output.about, &format!("{head}  {verb}"), &self.output.about.paint(Ink::Quiet, clock(took)))
    }

    fn live(
        &self,
        running: &BTreeMap<(u32, bool), Live>,
        done: usize,
        total: usize,
        elapsed: Duration,
        frame: usize,
    ) -> Vec<String> {
        let terminal = self.output.about;
        let spinner = if terminal.unicode {
            ["⠋", "⠙", "⠸", "⠴", "⠦", "⠇"][frame % 6]
        } else {
            ["|", "/", "-", "\\"][frame % 4]
        };
        let mut oldest: Vec<&Live> = running.values().collect();
        oldest.sort_by_key(|live| live.since);
        let mut lines: Vec<String> = oldest
            .iter()
            .take(LIVE_MAX)
            .map(|live| {
                let doing = verb(&live.step, &self.plan.changes[live.step.change as usize].action, false);
                let usual = live.usual.map(|usual| format!(" of ~{}", clock(usual))).unwrap_or_default();
                let note = if live.note.is_empty() { String::new() } else { format!("  {}", live.note) };
                let left = format!("{spinner} {} {doing}{note}", Escaped(live.step.address.as_str()));
                clip_to(&spread(&terminal, &left, &format!("{}{usual}", clock(self.now() - live.since))), terminal.width)
            })
            .collect();
        if running.len() > LIVE_MAX {
            lines.push(format!("  and {} more", running.len() - LIVE_MAX));
        }
        let width = 18;
        let full = (done * width).checked_div(total).unwrap_or(0);
        let bar = format!("{}{}", terminal.pick("█", "#").repeat(full), terminal.pick("░", ".").repeat(width - full));
        lines.push(format!("  {bar}  {done}/{total}   {} running   elapsed {}", running.len(), clock(elapsed)));
        lines
    }
}

/// What became of a call that a run before left open.
pub fn settled(terminal: &Terminal, it: &Recovered) -> String {
    let ink = if it.blocks() { Ink::Change } else { Ink::Quiet };
    terminal.paint(ink, format!("  {} {}: {}", Escaped(&it.action), Escaped(it.address.as_str()), Escaped(&it.words)))
}

fn clip_to(line: &str, width: usize) -> String {
    let first = line.lines().next().unwrap_or("");
    if super::terminal::columns(first) <= width {
        first.to_owned()
    } else {
        first.chars().take(width.saturating_sub(1)).collect()
    }
}

fn symbol(terminal: &Terminal, step: &StepName) -> (&'static str, Ink) {
    match (step.action, step.half) {
        (_, Half::Unmake) => ("-", Ink::Bad),
        ("create", _) => ("+", Ink::Good),
        ("replace", _) => (terminal.pick("±", "-/+"), Ink::Bad),
        ("move", _) => (terminal.pick("→", "->"), Ink::Data),
        ("adopt", _) => ("*", Ink::Data),
        ("forget", _) => ("x", Ink::Quiet),
        _ => ("~", Ink::Change),
    }
}

fn verb(step: &StepName, action: &Action, over: bool) -> &'static str {
    match (step.half, action, over) {
        (Half::Unmake, _, true) => "destroyed",
        (Half::Unmake, _, false) => "destroying",
        (_, Action::Create | Action::Replace { .. }, true) => "created",
        (_, Action::Create | Action::Replace { .. }, false) => "creating",
        (_, Action::Update, true) => "changed",
        (_, Action::Update, false) => "changing",
        (_, Action::Run, true) => "ran",
        (_, Action::Run, false) => "running",
        (_, Action::Read, true) => "read",
        (_, Action::Read, false) => "reading",
        (_, Action::Move { .. }, _) => "moved",
        (_, Action::Adopt { .. }, true) => "adopted",
        (_, Action::Adopt { .. }, false) => "adopting",
        (_, Action::Forget, _) => "forgotten",
        (_, Action::Record, _) => "recorded",
        (_, Action::Destroy { .. }, true) => "destroyed",
        (_, Action::Destroy { .. }, false) => "destroying",
    }
}

/// `1.2 s`, `2:14`.
pub fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds < 60 { format!("{:.1} s", span.as_secs_f64()) } else { format!("{}:{:02}", seconds / 60, seconds % 60) }
}
