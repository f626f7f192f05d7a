//! `plan`: from a program and what is known to a plan. Takes no lock, writes nothing to the state.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ahead::{self, Ahead};
use super::author::who;
use super::connections::Connections;
use super::desired::{Answers, desired, desired_with_data, provider_of, with_remembered};
use super::files::{words, write_whole};
use super::interrupted;
use super::policies;
use super::project::Failure;
use super::refresh::refresh;
use super::workspace::{Workspace, store_name};
use crate::model::{Address, Adoption, Code, Desired, Diagnostic, Made, Plan, ProviderName, Seen, Sources, Span, Value, Wanted};
use crate::plan;
use crate::state::Holder;

/// What to plan.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub only: Vec<String>,
    pub replace: Vec<String>,
    /// From records alone.
    pub offline: bool,
    /// Everything goes.
    pub destroy: bool,
    /// An object to adopt besides: the address, and the platform's id.
    pub adopt: Option<(String, String)>,
}

/// A plan, and how it came about.
pub struct Planned {
    pub plan: Plan,
    /// How many live resources were looked at, and how long that took; `None` for a plan from records.
    pub read: Option<(usize, Duration)>,
    /// Runs that were under way.
    pub running: Vec<Holder>,
}

/// Makes a plan, as the next apply would: what interrupted runs left open is looked for first, and the plan is made from what
/// recovery will come to, as far as can be seen. Nothing is written, and nobody is waited for.
///
/// Errors: of the program in this environment, of the platforms that cannot be asked, and what planning itself refuses.
pub async fn make(workspace: &mut Workspace, request: &Request) -> Result<Planned, Failure> {
    let look = interrupted::look(&workspace.state).await.map_err(|it| workspace.fail(it))?;
    if request.offline {
        let ahead = Ahead::unseen(&look);
        let mut plan = from_known(workspace, desired(workspace)?, &Seen::default(), &ahead, request)?;
        policies::judge(workspace, None, &mut plan, request.destroy).await?;
        return Ok(Planned { plan, read: None, running: interrupted::running(look) });
    }
    let connections = workspace.connections().await?;
    let ahead = ahead::look(workspace, &connections, &look).await;
    // For as long as this takes, state is what it will be.
    let supposed = ahead.supposed(&workspace.state);
    let actual = std::mem::replace(&mut workspace.state, supposed);
    let planned = seen(workspace, &connections, request, &ahead).await;
    workspace.state = actual;
    connections.close().await;
    let (plan, read) = planned?;
    Ok(Planned { plan, read, running: interrupted::running(look) })
}

/// Makes a plan from what the platforms report now, for an apply that has settled what was left open.
pub async fn refreshed(workspace: &Workspace, connections: &Connections, request: &Request) -> Result<Planned, Failure> {
    let ahead = match workspace.state.view().open.is_empty() {
        true => Ahead::default(),
        false => Ahead::unseen(&workspace.state.look().await.map_err(|it| workspace.fail(it))?),
    };
    let (plan, read) = seen(workspace, connections, request, &ahead).await?;
    Ok(Planned { plan, read, running: Vec::new() })
}

type Read = Option<(usize, Duration)>;

async fn seen(
    workspace: &Workspace,
    connections: &Connections,
    request: &Request,
    ahead: &Ahead,
) -> Result<(Plan, Read), Failure> {
    let world = &workspace.settings.world;
    let started = world.clock.elapsed();
    let mut data = Answers::new();
    let mut desired = match request.destroy {
        true => to_destroy(workspace),
        false => desired_with_data(workspace, connections, &mut data).await?,
    };
    desired.providers = with_remembered(std::mem::take(&mut desired.providers), workspace.state.view());
    add_adoption(&mut desired, request).map_err(|diagnostic| workspace.fail(diagnostic))?;
    let view = workspace.state.view();
    let settings = |name: &ProviderName| provider_of(&desired.providers, name);
    let asked = refresh(connections, world, &desired, &view.records, &workspace.schemas, &settings).await;
    let mut refreshed = asked.map_err(|diagnostics| workspace.failure(diagnostics))?;
    // What is yet to be sent again is not there, and will be.
    refreshed.seen.resources.retain(|address, _| !ahead.is_sent_again(address));
    let read = Some((refreshed.resources, world.clock.elapsed() - started));
    let mut plan = from_known(workspace, desired, &refreshed.seen, ahead, request)?;
    policies::judge(workspace, Some((connections, &mut data)), &mut plan, request.destroy).await?;
    Ok((plan, read))
}

/// Makes a plan from records alone.
///
/// Errors: as [`make`].
pub fn from_records(workspace: &Workspace) -> Result<Plan, Failure> {
    from_known(workspace, desired(workspace)?, &Seen::default(), &Ahead::default(), &Request::default())
}

/// What a destroy needs of the program: its providers' settings. What is wrong with the rest of it is in nobody's way.
fn to_destroy(workspace: &Workspace) -> Desired {
    let program = &workspace.project.program;
    let bare =
        Desired { stack: program.stack.name.to_string(), environment: workspace.environment.clone(), ..Desired::default() };
    desired(workspace).unwrap_or(bare)
}

/// What somebody typed is an item of the program for once.
///
/// Errors: [`Code::Usage`], [`Code::UnknownName`], [`Code::NotAdopted`].
fn add_adoption(desired: &mut Desired, request: &Request) -> Result<(), Box<Diagnostic>> {
    let Some((what, id)) = &request.adopt else { return Ok(()) };
    let what = address(what).map_err(|mut diagnostics| Box::new(diagnostics.remove(0)))?;
    let Some(resource) = desired.resources.iter().find(|it| it.address == what) else {
        let inside = desired.resources.iter().find(|it| it.address.is_within(&what));
        let near = super::nearest(what.as_str(), desired.resources.iter().map(|it| it.address.as_str()));
        let help = match (inside, near) {
            (Some(inside), _) => format!("it is an instance; an object is one of its resources, such as `{}`", inside.address),
            (None, Some(near)) => format!("write `{near}`"),
            (None, None) => "declare it first, as it is or as it should become".to_owned(),
        };
        return Err(Box::new(Code::UnknownName.error(format!("the program declares no resource `{what}`")).help(help)));
    };
    if let Some(why) = resource.kind.why_not_adopted() {
        return Err(Box::new(Code::NotAdopted.error(format!("a `{}` cannot be adopted: {why}", resource.kind.name))));
    }
    desired.adopt.retain(|it| it.address != what);
    desired.adopt.push(Adoption { address: what, object: Wanted::Id(Value::text(id.as_str())), span: Span::ENGINE });
    Ok(())
}

fn from_known(workspace: &Workspace, desired: Desired, seen: &Seen, ahead: &Ahead, request: &Request) -> Result<Plan, Failure> {
    let replace = request.replace.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>();
    let view = workspace.state.view();
    let digest = workspace.state.digester();
    let known = plan::Known {
        store: &store_name(&workspace.state),
        base: (view.revision > 0).then_some(view.revision),
        records: &view.records,
        deposed: &view.deposed,
        outputs: &view.outputs,
        foreseen: &ahead.foreseen,
        seen,
        schemas: &workspace.schemas,
        sources: workspace.sources(),
        digest: &*digest,
    };
    let options = plan::Options {
        only: request.only.clone(),
        replace: replace.map_err(|diagnostics| workspace.failure(diagnostics))?,
        destroy: request.destroy,
        simulated: workspace.settings.simulated(),
    };
    let mut plan = plan::start(desired, &known, &options).map_err(|diagnostics| workspace.failure(diagnostics))?;
    let short = super::secrets::short_ones(workspace);
    plan.warnings.splice(0..0, workspace.project.warnings.iter().cloned().chain(short));
    Ok(plan)
}

/// An address as somebody typed it.
///
/// Errors: [`Code::Usage`].
pub fn address(text: &str) -> Result<Address, Vec<Diagnostic>> {
    Address::parse(text).ok_or_else(|| {
        let diagnostic = Code::Usage.error(format!("`{text}` is no address"));
        vec![diagnostic.help("an address is such as `database.main` or `service.worker[\"email\"]/fly.machine.web[\"0\"]`")]
    })
}

/// Keeps a plan under its id, for `apply ID` and `show ID`.
///
/// Errors: [`Code::Unreadable`].
pub fn keep(workspace: &Workspace, plan: &Plan) -> Result<PathBuf, Box<Diagnostic>> {
    let dir = workspace.settings.plans_dir();
    let path = dir.join(&plan.id);
    let made = std::fs::create_dir_all(&dir);
    made.map_err(|error| unwritable(&dir, &error))?;
    save(workspace, plan, &path)?;
    Ok(path)
}

/// Writes a plan to a file: sealed whole, readable by its owner alone.
///
/// Errors: [`Code::Unreadable`], and those of the state's key.
pub fn save(workspace: &Workspace, plan: &Plan, path: &std::path::Path) -> Result<(), Box<Diagnostic>> {
    let settings = &workspace.settings;
    let made = Made { who: who(settings), time_ms: settings.world.clock.now().as_millisecond() };
    let plain = plan::file::encode(&Plan { made: Some(made), ..plan.clone() }, workspace.sources())?;
    let sealed = workspace.state.seal_blob(LABEL, &plain)?;
    write_whole(path, &sealed, 0o600).map_err(|error| unwritable(path, &error))
}

/// What a plan file is sealed as.
const LABEL: &str = "plan";

fn unwritable(path: &std::path::Path, error: &std::io::Error) -> Box<Diagnostic> {
    Box::new(Code::Unreadable.error(format!("`{}` cannot be written: {}", path.display(), words(error))))
}

/// Reads a plan back, from a file or by the id under which it was kept.
///
/// Errors: [`Code::Unreadable`] where there is none, [`Code::DamagedPlan`] where it was altered or is not for this environment.
pub fn read(workspace: &Workspace, named: &str) -> Result<(Plan, Arc<Sources>), Box<Diagnostic>> {
    let kept = workspace.settings.plans_dir().join(named);
    let is_id = named.len() == 8 && named.chars().all(|c| c.is_ascii_hexdigit());
    let path = if is_id && kept.exists() { kept } else { PathBuf::from(named) };
    let sealed = std::fs::read(&path).map_err(|error| {
        let what = if is_id {
            format!("there is no plan `{named}`")
        } else {
            format!("the plan file `{named}` cannot be read: {}", words(&error))
        };
        Box::new(Code::Unreadable.error(what).help("`stackwright plan` makes one and names its id"))
    })?;
    let plain = workspace.state.open_blob(LABEL, &sealed)?;
    let file = plan::file::decode(&plain, &workspace.schemas, &*workspace.state.digester())?;
    Ok((file.plan, Arc::new(file.sources)))
}
