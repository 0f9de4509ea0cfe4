//! Which database a solution's own would be, and which ids may not be used.
//!
//! Rules of names only; whether a database exists is the catalog's to say.
//! Invariant: a [`SolutionId`] admitted here renders under every pattern to at most 63 bytes, and never to a
//! system, template or maintenance database.

use std::{collections::HashSet, sync::Arc};

use super::{Error, Login, OwnRole, Result, ServerName, SolutionId, Violation, solution::SolutionIdError};

/// The longest name of a database, in bytes. Postgres would cut a longer one silently.
pub const DATABASE_NAME_BYTES: usize = 63;

/// An app's name for a solution's own database, such as `djo_{solution}_db`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    prefix: Box<str>,
    suffix: Box<str>,
}

/// What kind of data is asked for, and where it may live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its name in requests.
    pub name: Arc<str>,
    /// How a solution's own database is called; none: always the system database.
    pub pattern: Option<Pattern>,
    /// The shared database; none: the app is never shared.
    pub system_database: Option<Arc<str>>,
    /// The server of the system database.
    pub server: ServerName,
    /// A table that must exist in a dedicated database before it is used (apps whose schema is not ours).
    pub ready_table: Option<String>,
    /// The role as which a solution's own database is entered; none: the router's own.
    pub own_role: Option<OwnRole>,
}

/// The configured apps, and what follows from their names.
#[derive(Debug, PartialEq, Eq)]
pub struct Naming {
    apps: Vec<App>,
    documents: usize,
    reserved: HashSet<Box<str>>,
    /// Ids that some pattern renders to a reserved name.
    reserved_ids: HashSet<Box<str>>,
}

// === impl Pattern ===

impl Pattern {
    /// Reads a pattern: `{solution}` exactly once, something around it.
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, suffix) = text.split_once("{solution}")?;
        let plain = |part: &str| !part.contains(['{', '}', '\0']);
        (plain(prefix) && plain(suffix)).then(|| Self { prefix: prefix.into(), suffix: suffix.into() })
    }

    /// The name of this solution's own database.
    pub fn render(&self, solution: &str) -> String {
        [&*self.prefix, solution, &*self.suffix].concat()
    }

    /// The solution whose own database is called so, if any could be.
    pub fn solution_of(&self, database: &str) -> Option<SolutionId> {
        let id = database.strip_prefix(&*self.prefix)?.strip_suffix(&*self.suffix)?;
        SolutionId::parse(id).ok()
    }

    /// True if two different solutions could be given the same name by `self` and `other`.
    ///
    /// `p1 X s1 = p2 Y s2` with X ≠ Y needs one prefix to begin the other and one suffix to end the other, and
    /// what is left over to be letters of an id.
    pub fn collides(&self, other: &Self) -> bool {
        let left_over = |a: &str, b: &str, from_start: bool| -> Option<String> {
            let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
            let rest = if from_start { long.strip_prefix(short) } else { long.strip_suffix(short) };
            rest.map(str::to_owned)
        };
        let idlike = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
        };
        if self == other {
            return false;
        }
        match (left_over(&self.prefix, &other.prefix, true), left_over(&self.suffix, &other.suffix, false)) {
            (Some(front), Some(back)) => idlike(&front) && idlike(&back),
            (None, _) | (_, None) => false,
        }
    }

    fn fixed_bytes(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }
}

// === impl Naming ===

impl App {
    /// As whom the solution's own database is entered.
    pub fn login(&self, solution: &SolutionId) -> Login {
        self.own_role.as_ref().map_or(Login::Runtime, |own| own.login(solution))
    }
}

impl Naming {
    /// `apps` as configured, `documents` the name of the documents app (one of them), `maintenance` the databases
    /// that no solution may be called into besides system databases: templates, `postgres`, catalog databases.
    pub fn new(apps: Vec<App>, documents: &str, maintenance: impl IntoIterator<Item = String>) -> Option<Self> {
        let documents = apps.iter().position(|app| &*app.name == documents)?;
        let mut reserved: HashSet<Box<str>> =
            ["postgres", "template0", "template1"].into_iter().map(Into::into).collect();
        reserved.extend(maintenance.into_iter().map(String::into_boxed_str));
        reserved.extend(apps.iter().filter_map(|app| app.system_database.as_deref().map(Into::into)));
        let reserved_ids = apps
            .iter()
            .filter_map(|app| app.pattern.as_ref())
            .flat_map(|pattern| reserved.iter().filter_map(|name| pattern.solution_of(name)))
            .map(|solution| solution.as_str().into())
            .collect();
        Some(Self { apps, documents, reserved, reserved_ids })
    }

    /// The app whose documents this service serves.
    pub fn documents_app(&self) -> &App {
        &self.apps[self.documents]
    }

    /// All apps, in the order of the configuration.
    pub fn apps(&self) -> &[App] {
        &self.apps
    }

    /// The app of that name; empty means the documents app.
    pub fn app(&self, name: &str) -> Result<&App> {
        if name.is_empty() {
            return Ok(self.documents_app());
        }
        self.apps.iter().find(|app| &*app.name == name).ok_or(Error::AppUnknown)
    }

    /// Takes a solution id from a request.
    pub fn admit(&self, text: &str) -> Result<SolutionId> {
        let invalid = |problem: String| Error::SolutionInvalid(vec![Violation::new("solution", problem)]);
        let solution = SolutionId::parse(text).map_err(|problem| invalid(problem.to_string()))?;
        let longest = self.longest_solution();
        if text.len() > longest {
            return Err(invalid(format!("must be at most {longest} bytes here")));
        }
        if self.is_reserved(&solution) {
            return Err(Error::SolutionReserved(vec![Violation::new("solution", "would name a system database")]));
        }
        Ok(solution)
    }

    /// The longest id that every pattern can render, in bytes. Postgres would cut a longer name of a role, too.
    pub fn longest_solution(&self) -> usize {
        let roles = self.apps.iter().filter_map(|app| app.own_role.as_ref()).map(|own| &own.pattern);
        let fixed = self.patterns().chain(roles).map(Pattern::fixed_bytes).max().unwrap_or(0);
        DATABASE_NAME_BYTES.saturating_sub(fixed)
    }

    /// True for a database that is nobody's own.
    pub fn is_reserved_database(&self, database: &str) -> bool {
        self.reserved.contains(database)
    }

    /// The solution whose own database for `app` is called so by the app's pattern.
    pub fn solution_of(&self, app: &App, database: &str) -> Option<SolutionId> {
        let solution = app.pattern.as_ref()?.solution_of(database)?;
        (solution.as_str().len() <= self.longest_solution() && !self.is_reserved(&solution)).then_some(solution)
    }

    fn is_reserved(&self, solution: &SolutionId) -> bool {
        self.reserved_ids.contains(solution.as_str())
    }

    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.apps.iter().filter_map(|app| app.pattern.as_ref())
    }
}

impl From<SolutionIdError> for Violation {
    fn from(problem: SolutionIdError) -> Self {
        Self::new("solution", problem.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str, pattern: Option<&str>, system: &str) -> App {
        App {
            name: name.into(),
            pattern: pattern.map(|text| Pattern::parse(text).unwrap()),
            system_database: Some(system.into()),
            server: "main".into(),
            ready_table: None,
            own_role: None,
        }
    }

    fn naming() -> Naming {
        let apps = vec![
            app("fbs_dms", Some("djo_{solution}_db"), "fbs_system_db"),
            app("odoo", Some("fbs_{solution}_db"), "fbs_system_db"),
            app("fbs_license_manager", None, "lic_system_db"),
        ];
        Naming::new(apps, "fbs_dms", ["catalog".to_owned()]).unwrap()
    }

    #[test]
    fn an_id_is_at_most_56_characters_with_the_defaults() {
        assert!(naming().admit(&"a".repeat(56)).is_ok());
        assert!(matches!(naming().admit(&"a".repeat(57)), Err(Error::SolutionInvalid(_))));
    }

    #[test]
    fn an_id_that_names_a_system_database_under_any_pattern_is_reserved() {
        assert!(matches!(naming().admit("system"), Err(Error::SolutionReserved(_))));
        assert!(naming().admit("systems").is_ok());
    }

    #[test]
    fn patterns_collide_when_two_solutions_could_share_a_name() {
        let pattern = |text| Pattern::parse(text).unwrap();
        assert!(!pattern("djo_{solution}_db").collides(&pattern("fbs_{solution}_db")));
        assert!(!pattern("djo_{solution}_db").collides(&pattern("djo_{solution}_db")));
        assert!(pattern("djo_{solution}_db").collides(&pattern("djo_x_{solution}_db")));
        assert!(pattern("{solution}_db").collides(&pattern("djo_{solution}_db")));
        assert!(!pattern("DJO_{solution}").collides(&pattern("{solution}")));
    }

    #[test]
    fn a_name_tells_its_solution_only_where_the_solution_is_admitted() {
        let naming = naming();
        let odoo = naming.app("odoo").unwrap();
        assert_eq!(naming.solution_of(odoo, "fbs_acme_db").unwrap().as_str(), "acme");
        assert!(naming.solution_of(odoo, "fbs_system_db").is_none());
        assert!(naming.solution_of(odoo, "fbs_Acme_db").is_none());
        assert!(naming.solution_of(odoo, "fbs_db").is_none());
    }

    #[test]
    fn a_pattern_holds_the_solution_exactly_once() {
        assert!(Pattern::parse("djo_db").is_none());
        assert!(Pattern::parse("{solution}{solution}").is_none());
    }
}
