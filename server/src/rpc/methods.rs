//! What each method needs of its caller: the one table, and deny by default.
//!
//! A method that is not here is served to nobody, whatever the services behind would answer; a test compares the table
//! with the contract.

use crate::domain::Need;

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody, without a credential.
    Public,
    /// Whoever has proved who he is.
    Authenticated,
    /// Whoever has a grant of that somewhere; the handler checks the solution.
    Needs(Need),
    /// Nobody: there is no such method.
    Unlisted,
}

/// Who may call the method at this path, such as `/fbs.router.v1.RouterService/ResolveDatabase`.
pub fn access(path: &str) -> Access {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return Access::Unlisted;
    };
    match service {
        "fbs.document.v1.DocumentService" => document(method),
        "fbs.router.v1.RouterService" => router(method),
        // Operators' methods are alike: each is for the admins of every solution.
        "fbs.admin.v1.AdminService" => Access::Needs(Need::Operate),
        // For probes, which have no credentials. Health knows names of services, and no solution.
        "grpc.health.v1.Health" => match method {
            "Check" | "Watch" => Access::Public,
            "List" => Access::Authenticated,
            _ => Access::Unlisted,
        },
        "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection"
            if method == "ServerReflectionInfo" =>
        {
            Access::Authenticated
        }
        _ => Access::Unlisted,
    }
}

/// What a log may call a call: a path is whatever a caller sends, and only one that is a method is repeated.
pub(super) fn known(path: &str) -> &str {
    if access(path) == Access::Unlisted { "unknown" } else { path }
}

/// Streams of content, which take as long as they take: their idle limit is kept where their frames are handled.
pub(super) fn is_transfer(path: &str) -> bool {
    matches!(
        path,
        "/fbs.document.v1.DocumentService/UploadContent" | "/fbs.document.v1.DocumentService/DownloadContent"
    )
}

/// Methods with a stream one way or the other.
pub(super) fn is_streamed(path: &str) -> bool {
    is_transfer(path) || path == "/fbs.admin.v1.AdminService/MoveSolution"
}

fn document(method: &str) -> Access {
    match method {
        "GetDocument"
        | "ListDocuments"
        | "ListDocumentTransitions"
        | "SearchDocuments"
        | "GetDocumentStats"
        | "BatchGetDocuments"
        | "ListDocumentTypes"
        | "DownloadContent" => Access::Needs(Need::Read),
        "CreateDocument"
        | "UpdateDocument"
        | "DeleteDocument"
        | "UndeleteDocument"
        | "SubmitDocument"
        | "BatchCreateDocuments"
        | "UploadContent" => Access::Needs(Need::Write),
        "ApproveDocument" | "RejectDocument" | "ArchiveDocument" => Access::Needs(Need::Approve),
        "PutDocumentType" => Access::Needs(Need::Administer),
        _ => Access::Unlisted,
    }
}

fn router(method: &str) -> Access {
    match method {
        // Lists show what the grants cover.
        "ResolveDatabase" | "BatchResolveDatabases" | "ExplainRoute" | "ListSolutions" | "ListDatabases" => {
            Access::Needs(Need::Read)
        }
        _ => Access::Unlisted,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_method_of_the_contract_is_listed() {
        let set = FileDescriptorSet::decode(fbs_router_proto::FILE_DESCRIPTOR_SET).unwrap();
        let mut methods = 0;
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    assert!(matches!(access(&path), Access::Needs(_)), "{path} is not listed");
                    assert_eq!(is_streamed(&path), method.client_streaming() || method.server_streaming(), "{path}");
                    methods += 1;
                }
            }
        }
        assert!(methods >= 24, "{methods}");
    }

    #[test]
    fn whatever_is_not_listed_is_for_nobody() {
        for path in [
            "",
            "/",
            "//",
            "/fbs.router.v1.RouterService",
            "/fbs.router.v1.RouterService/",
            "/fbs.router.v1.RouterService/resolveDatabase",
            "/fbs.router.v1.RouterService/ResolveDatabase/",
            "/fbs.router.v1.RouterService//ResolveDatabase",
            "fbs.router.v1.RouterService/ResolveDatabase",
            "/fbs.document.v1.DocumentService/DropEverything",
            "/grpc.reflection.v2.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1.ServerReflection/Secret",
            "/grpc.health.v1.Health/Secret",
        ] {
            assert_eq!(access(path), Access::Unlisted, "{path:?}");
            assert_eq!(known(path), "unknown");
        }
    }

    #[test]
    fn probes_need_no_credential_and_operators_need_everything() {
        assert_eq!(access("/grpc.health.v1.Health/Check"), Access::Public);
        assert_eq!(access("/grpc.health.v1.Health/Watch"), Access::Public);
        assert_eq!(access("/grpc.health.v1.Health/List"), Access::Authenticated);
        assert_eq!(access("/fbs.admin.v1.AdminService/MoveSolution"), Access::Needs(Need::Operate));
    }
}
