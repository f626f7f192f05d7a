//! Where the engine works, and with which clouds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::connections::Sandbox;
use crate::providers::contract::Transport;
pub use crate::state::keys::Ask;
use crate::state::store::patience::Tell;
use crate::world::World;

/// Which clouds the providers speak to.
#[derive(Clone)]
pub enum Clouds {
    Real,
    /// Simulated ones of our own, kept in `.stackwright/sim/clouds`.
    Simulated,
    /// Those of a running `stackwright sim`, at this URL.
    SimulatedAt(String),
    /// Those of a test, in this process: whoever works with them opens no socket, no state and no secret's file.
    InProcess(Sandbox),
    /// Those that somebody else keeps in this process, behind a network of theirs. No socket and no secret's file is opened either.
    Behind(Arc<dyn Transport>),
}

/// What every command is told.
#[derive(Clone)]
pub struct Settings {
    /// The stack's directory, absolute.
    pub dir: PathBuf,
    pub clouds: Clouds,
    pub world: World,
    /// Variables of the environment.
    pub variable: Arc<dyn Fn(&str) -> Option<String> + Send + Sync>,
    /// All variables of the environment whose names begin so, ordered by name.
    pub variables: Arc<dyn Fn(&str) -> Vec<(String, String)> + Send + Sync>,
    /// Asks a person for a passphrase, where there is one.
    pub ask: Option<Ask>,
    /// Calls at once, for each provider, where somebody said so.
    pub parallel: Option<u32>,
    /// Takes a line that people should read while something takes long.
    pub tell: Tell,
}

impl Settings {
    /// `.stackwright` in the stack's directory.
    pub fn own_dir(&self) -> PathBuf {
        self.dir.join(".stackwright")
    }

    /// Everything that must not be mixed with the real clouds: `.stackwright/sim` where the clouds are simulated.
    pub fn world_dir(&self) -> PathBuf {
        if self.simulated() { self.own_dir().join("sim") } else { self.own_dir() }
    }

    /// Where the states of all environments are.
    pub fn state_root(&self) -> PathBuf {
        self.world_dir().join("state")
    }

    pub fn plans_dir(&self) -> PathBuf {
        self.world_dir().join("plans")
    }

    /// What the `local` provider keeps for an environment.
    pub fn data_dir(&self, environment: &str) -> PathBuf {
        self.world_dir().join("local").join(environment)
    }

    /// Whether this is a test, which sees nothing of this machine but the stack's files.
    pub fn in_process(&self) -> bool {
        matches!(self.clouds, Clouds::InProcess(_) | Clouds::Behind(_))
    }

    /// What a command that is suggested says of the clouds: nothing, ` --sim` or ` --sim=URL`.
    pub fn cloud_flag(&self) -> String {
        match &self.clouds {
            Clouds::Real | Clouds::InProcess(_) | Clouds::Behind(_) => String::new(),
            Clouds::Simulated => " --sim".into(),
            Clouds::SimulatedAt(url) => format!(" --sim={url}"),
        }
    }

    pub fn simulated(&self) -> bool {
        !matches!(self.clouds, Clouds::Real)
    }
}

/// `path` made absolute, without asking whether it exists.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Variables of ours that hold secrets or lead to them: no program reads them, and no command that is run is given them.
pub fn secret_variables() -> impl Iterator<Item = &'static str> {
    let others = [
        "STACKWRIGHT_SIGNING_KEY",
        "STACKWRIGHT_SIGNING_KEY_FILE",
        "STACKWRIGHT_SIGNING_PASSPHRASE",
        "STACKWRIGHT_SIGNING_PASSPHRASE_FILE",
        // It may hold the password of the store.
        "STACKWRIGHT_STATE_URL",
    ];
    crate::state::keys::VARIABLES.into_iter().chain(others)
}
