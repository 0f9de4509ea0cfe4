//! `[[app]]`: what kinds of data there are, and the rules that hold across them and `[[server]]`.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use super::{Server, read::Section};
use crate::domain::{App, Naming, OwnRole, Pattern};

pub(super) fn read_app(mut section: Section<'_>, default_server: &Arc<str>) -> App {
    let pattern = section.text("pattern").and_then(|text| {
        let pattern = Pattern::parse(&text);
        if pattern.is_none() {
            section.problem("pattern", "must hold {solution} exactly once");
        }
        pattern
    });
    let own_role = read_own_role(&mut section, pattern.is_some());
    let app = App {
        name: section.required("name").into(),
        own_role,
        pattern,
        system_database: section.text("system_database").map(Into::into),
        server: section.text("server").map_or_else(|| default_server.clone(), Into::into),
        ready_table: section.text("ready_table"),
    };
    section.finish();
    app
}

fn read_own_role(section: &mut Section<'_>, has_pattern: bool) -> Option<OwnRole> {
    let passwords = section.text("role_passwords").map(|folder| Arc::from(PathBuf::from(folder)));
    let Some(text) = section.text("role") else {
        if passwords.is_some() {
            section.problem("role_passwords", "is useless without role");
        }
        return None;
    };
    if !has_pattern {
        section.problem("role", "is useless without pattern: the app has no databases of solutions' own");
    }
    let pattern = Pattern::parse(&text).filter(|_| !text.contains('/'));
    if pattern.is_none() {
        section.problem("role", "must hold {solution} exactly once, and no slash");
    }
    Some(OwnRole { pattern: pattern?, passwords })
}

pub(super) fn default_apps(server: &Arc<str>) -> Vec<App> {
    let app = |name: &str, pattern: Option<&str>, system: &str| App {
        name: name.into(),
        pattern: pattern.and_then(Pattern::parse),
        system_database: Some(system.into()),
        server: server.clone(),
        ready_table: None,
        own_role: None,
    };
    vec![
        app("fbs_dms", Some("djo_{solution}_db"), "fbs_system_db"),
        app("odoo", Some("fbs_{solution}_db"), "fbs_system_db"),
        app("fbs_app", None, "fbs_system_db"),
        app("fbs_license_manager", None, "lic_system_db"),
    ]
}

pub(super) fn check_servers(servers: &[Server], problems: &mut Vec<String>) {
    if servers.is_empty() {
        problems.push("server: at least one [[server]] with its url is needed".into());
    }
    let mut names = HashSet::new();
    for server in servers {
        if !names.insert(&server.name) {
            problems.push(format!("server: two servers are called `{}`; give each its own name", server.name));
        }
    }
}

pub(super) fn check_apps(
    apps: Vec<App>,
    documents: &str,
    servers: &[Server],
    problems: &mut Vec<String>,
) -> Option<Naming> {
    let mut names = HashSet::new();
    for (index, app) in apps.iter().enumerate() {
        if !names.insert(app.name.clone()) {
            problems.push(format!("app[{index}].name: `{}` is there twice", app.name));
        }
        if !servers.is_empty() && !servers.iter().any(|server| server.name == app.server) {
            problems.push(format!("app[{index}].server: no [[server]] is called `{}`", app.server));
        }
        if app.pattern.is_none() && app.system_database.is_none() {
            problems.push(format!("app[{index}]: has neither pattern nor system_database, so it could live nowhere"));
        }
        if app.system_database.as_ref().is_some_and(|name| name.is_empty() || name.len() > 63) {
            problems.push(format!("app[{index}].system_database: must be 1 to 63 bytes"));
        }
        for other in apps.iter().skip(index + 1) {
            if let (Some(pattern), Some(other_pattern)) = (&app.pattern, &other.pattern)
                && pattern.collides(other_pattern)
            {
                problems.push(format!(
                    "app[{index}].pattern: `{}` and `{}` could name the databases of two solutions alike",
                    app.name, other.name
                ));
            }
        }
    }
    match apps.iter().find(|app| *app.name == *documents) {
        None => problems.push(format!("documents.app: no [[app]] is called `{documents}`")),
        Some(app) if app.pattern.is_none() => {
            problems.push(format!("documents.app: `{documents}` needs a pattern"));
        }
        Some(app) if app.system_database.is_none() => {
            problems.push(format!("documents.app: `{documents}` needs a system_database: it holds the ledger"));
        }
        Some(_) => {}
    }
    let maintenance = servers.iter().map(|server| server.catalog_database.clone()).collect::<Vec<_>>();
    let naming = Naming::new(apps, documents, maintenance)?;
    if naming.longest_solution() == 0 {
        problems.push("app: a pattern leaves no room for a solution within 63 bytes".into());
    }
    Some(naming)
}
