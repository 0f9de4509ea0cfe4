//! The same schema as text, for whoever reviews or runs SQL by hand.

use std::fmt::Write;

use crate::{
    Purpose,
    migrations::{Component, DOCUMENTS, LEDGER, ROLES},
};

/// What is printed besides the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Printed {
    /// The statement that makes the runtime role, too. Needs CREATEROLE.
    pub roles: bool,
}

/// One SQL file for psql that does what [`crate::apply`] does in an empty database, in one transaction.
///
/// `runtime_role` is quoted here, for it stands in the text; everything else is fixed.
pub fn print(purpose: &Purpose, runtime_role: &str, printed: Printed) -> String {
    let mut out = String::from("-- fbs-router schema; run with: psql -v ON_ERROR_STOP=1 -d DATABASE -f FILE\nBEGIN;\n");
    let _ = writeln!(out, "SET LOCAL fbs_router.runtime_role = {};\n", literal(runtime_role));
    if printed.roles {
        out.push_str(ROLES);
    }
    component(&mut out, &DOCUMENTS);
    if *purpose == Purpose::System {
        component(&mut out, &LEDGER);
    }
    match purpose {
        Purpose::System => out.push_str(
            "\nINSERT INTO fbs_router.identity (kind, ledger_id) SELECT 'system', ledger_id FROM fbs_router.ledger;\n",
        ),
        Purpose::Solution(name) => {
            let _ = writeln!(
                out,
                "\nINSERT INTO fbs_router.identity (kind, solution) VALUES ('dedicated', {});",
                literal(name)
            );
        }
        Purpose::Template => {}
    }
    out.push_str(DOCUMENTS.grants);
    if *purpose == Purpose::System {
        out.push_str(LEDGER.grants);
    }
    out.push_str("COMMIT;\n");
    out
}

fn component(out: &mut String, component: &Component) {
    for migration in component.migrations {
        let _ = writeln!(out, "\n{}", migration.sql);
        let checksum: String = migration.checksum().iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(
            out,
            "INSERT INTO fbs_router.schema_version (component, version, compatible_from, checksum) \
             VALUES ('{}', {}, {}, '\\x{checksum}');",
            component.name, migration.version, migration.compatible_from
        );
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
