//! The rows: which servers are compared, under which load.

pub(crate) mod calls;
mod list;

pub(crate) use self::list::groups;
use crate::{
    Outcome,
    child::Child,
    load::{Load, Shape},
    measure::{Contestant, Effort, Sample, measure},
    servers::Kind,
    world::{Stage, World},
};

/// Servers that are measured together.
pub(crate) struct Group {
    /// What is called.
    pub(crate) method: Method,
    /// How.
    pub(crate) shape: Shape,
    /// Whether the database's processor time counts.
    pub(crate) postgres: bool,
    /// The servers.
    pub(crate) servers: Vec<Kind>,
    /// What is printed.
    pub(crate) rows: Vec<Row>,
    /// How much there is meanwhile; none: whatever there is.
    pub(crate) stage: Option<Stage>,
}

/// One line: `b` as a ratio to `a`. Indexes into the group's servers.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) a: usize,
    pub(crate) b: usize,
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Resolve,
    Get,
    Create,
}

impl Group {
    /// Measures. Samples by server, then round.
    pub(crate) async fn run(&self, world: &World, effort: Effort) -> Outcome<Vec<Vec<Sample>>> {
        if let Some(stage) = self.stage {
            world.set(stage).await?;
        }
        let mut contestants = Vec::new();
        let mut answers = Vec::new();
        for kind in &self.servers {
            let child = Child::start(*kind, world.folder())?;
            let (load, answer) = Load::connect(child.address(), self.shape, self.calls(*kind)?).await?;
            contestants.push(Contestant { child, load });
            answers.push((kind, answer));
        }
        // Everybody does the same work, or the comparison says nothing.
        if self.method == Method::Get
            && let Some((kind, _)) = answers.iter().find(|(_, answer)| *answer != answers[0].1)
        {
            return Err(format!("`{}` answers with another document than the others", kind.name()).into());
        }
        let postmaster = if self.postgres { Some(world.postmaster().await?) } else { None };
        measure(&contestants, postmaster, effort).await
    }

    fn calls(&self, kind: Kind) -> Outcome<crate::load::Calls> {
        match (self.method, kind) {
            (Method::Resolve, Kind::Echo) => calls::echo(),
            (Method::Resolve, Kind::OursOfTen) => calls::resolve_recorded(crate::world::FEW_PLACEMENTS),
            (Method::Resolve, _) => {
                calls::resolve_recorded(self.stage.map_or(crate::world::PLACEMENTS, |stage| stage.recorded))
            }
            (Method::Get, _) => calls::get(),
            (Method::Create, _) => calls::create(),
        }
    }
}
