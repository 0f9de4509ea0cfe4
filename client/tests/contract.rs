//! Nothing of the contract is left out.

use std::collections::HashSet;

use fbs_router_client::prost_types::{FileDescriptorProto, FileDescriptorSet};
use fbs_router_proto::FILE_DESCRIPTOR_SET;
use prost::Message;

fn contract() -> Vec<FileDescriptorProto> {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file;
    let published = ["fbs.router.v1", "fbs.document.v1", "fbs.admin.v1"];
    files.into_iter().filter(|file| published.contains(&file.package())).collect()
}

/// The words and names in a source.
fn words(source: &str) -> HashSet<&str> {
    source.split(|character: char| !character.is_ascii_alphanumeric()).collect()
}

#[test]
fn every_message_and_enum_is_published() {
    let published = words(include_str!("../src/v1.rs"));
    let mut count = 0;
    for file in contract() {
        let messages = file.message_type.iter().map(|message| message.name());
        for name in messages.chain(file.enum_type.iter().map(|kind| kind.name())) {
            assert!(published.contains(name), "{name} is not in v1");
            count += 1;
        }
    }
    assert!(count > 72, "{count}");
}

#[test]
fn every_method_can_be_called() {
    let sources = [
        include_str!("../src/admin.rs"),
        include_str!("../src/admin/following.rs"),
        include_str!("../src/client.rs"),
        include_str!("../src/documents.rs"),
        include_str!("../src/documents/listings.rs"),
        include_str!("../src/transfer/upload.rs"),
        include_str!("../src/transfer/download.rs"),
    ];
    for method in contract().iter().flat_map(|file| &file.service).flat_map(|service| &service.method) {
        let call = format!("\"{}\"", method.name());
        assert!(sources.iter().any(|source| source.contains(&call)), "nothing calls {call}");
    }
}
