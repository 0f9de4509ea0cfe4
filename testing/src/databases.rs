//! Solutions and their own databases, as somebody makes and counts them.

use fbs_router::domain::SolutionId;
use fbs_router_sandbox::platform;

use crate::{TestError, TestRouter};

/// Around a solution's id in the name of its own database; a name has 63 bytes.
const SOLUTION_BYTES_MAX: usize = 63 - "djo__db".len();

impl TestRouter {
    /// Gives a solution a database of its own: `createdb -T fbs_template djo_SOLUTION_db`. The service notices by
    /// itself.
    ///
    /// [`TestError::Solution`] if it is no solution id, if it has a database already, and if it has documents in the
    /// shared one: it would stay there.
    pub async fn give_database(&self, solution: &str) -> Result<(), TestError> {
        let wrong = |problem: String| Err(TestError::Solution { solution: solution.to_owned(), problem });
        if let Err(problem) = SolutionId::parse(solution) {
            return wrong(problem.to_string());
        }
        if solution.len() > SOLUTION_BYTES_MAX {
            return wrong(format!("must be at most {SOLUTION_BYTES_MAX} bytes, so that a database can be called so"));
        }
        let name = own_database(solution);
        if self.exists(&name).await? {
            return wrong(format!("has a database of its own already: {name}"));
        }
        if self.exists(&hidden(&name)).await? {
            return wrong(format!("has a database of its own already, which is hidden: show_database shows {name}"));
        }
        if self.shared_documents(solution).await? > 0 {
            let system = platform::SYSTEM_DATABASE;
            return wrong(format!("is served from {system} already: give it a database before its first document"));
        }
        Ok(self.platform.implementer().copy_database(platform::TEMPLATE_DATABASE, &name).await?)
    }

    /// Documents of a solution in the shared database, deleted ones included: 0 for one with a database of its own.
    pub async fn shared_documents(&self, solution: &str) -> Result<i64, TestError> {
        self.documents_in(platform::SYSTEM_DATABASE, solution).await
    }

    /// Documents of a solution in its own database, deleted ones included.
    pub async fn own_documents(&self, solution: &str) -> Result<i64, TestError> {
        let name = self.own(solution).await?;
        self.documents_in(&name, solution).await
    }

    /// The name of a solution's own database, which is there.
    pub(crate) async fn own(&self, solution: &str) -> Result<String, TestError> {
        let name = own_database(solution);
        if self.exists(&name).await? {
            return Ok(name);
        }
        let problem = if self.exists(&hidden(&name)).await? {
            format!("has a hidden database: show_database gives {name} its name back")
        } else {
            format!("has no database of its own, {name}: give_database makes it")
        };
        Err(TestError::Solution { solution: solution.to_owned(), problem })
    }

    /// The name of a solution's hidden database, which is there.
    pub(crate) async fn own_hidden(&self, solution: &str) -> Result<String, TestError> {
        let name = hidden(&own_database(solution));
        if self.exists(&name).await? {
            return Ok(name);
        }
        let problem = "has no hidden database: hide_database hides its own".to_owned();
        Err(TestError::Solution { solution: solution.to_owned(), problem })
    }

    async fn exists(&self, database: &str) -> Result<bool, TestError> {
        let sql = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", quoted(database));
        Ok(self.platform.implementer().count("postgres", &sql).await? > 0)
    }

    async fn documents_in(&self, database: &str, solution: &str) -> Result<i64, TestError> {
        let sql = format!("SELECT count(*) FROM fbs_document.document WHERE company_id = '{}'", quoted(solution));
        Ok(self.platform.implementer().count(database, &sql).await?)
    }
}

/// The name of a solution's own database.
pub(crate) fn own_database(solution: &str) -> String {
    format!("djo_{solution}_db")
}

pub(crate) fn hidden(name: &str) -> String {
    format!("hidden_{name}")
}

/// Ids of solutions need no quotes; whatever else is typed here meets the test's own Postgres alone.
fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}
