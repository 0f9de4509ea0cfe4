use clap::{Parser, error::ErrorKind};

use super::*;

#[derive(Debug, Parser)]
struct Change {
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Parser)]
struct Draft {
    #[command(flatten)]
    draft: DraftArgs,
}

fn change(arguments: &[&str]) -> Result<(Document, Vec<String>), clap::Error> {
    let parsed = Change::try_parse_from([&["test"], arguments].concat())?;
    Ok(parsed.change.document_and_mask())
}

#[test]
fn the_mask_names_what_was_given_and_what_is_cleared() {
    let (document, paths) =
        change(&["--title", "Rent", "--tag", "b", "--tag", "a", "--clear", "metadata", "--clear", "expire_time"])
            .unwrap();
    assert_eq!(paths, ["title", "tags", "metadata", "expire_time"]);
    assert_eq!((document.title.as_str(), document.tags.len()), ("Rent", 2));
    assert_eq!((document.metadata, document.name.as_str()), (None, ""));
}

#[test]
fn an_update_of_nothing_is_a_usage_error() {
    assert_eq!(change(&[]).unwrap_err().kind(), ErrorKind::MissingRequiredArgument);
}

#[test]
fn metadata_that_is_no_object_is_a_usage_error() {
    for text in ["{", "[1]", "7"] {
        let error = change(&["--metadata", text]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ValueValidation, "{text}");
    }
}

#[test]
fn a_draft_takes_all_fields() {
    let parsed = Draft::try_parse_from([
        "test",
        "--name=INV-1",
        "--title=Rent",
        "--type=invoice",
        "--category=finance/invoices",
        "--confidentiality=confidential",
        "--metadata={\"amount\": 12.5}",
        "--expire-time=2027-01-01T00:00:00Z",
    ])
    .unwrap();
    let document = parsed.draft.document();
    assert_eq!(document.document_type, "invoice");
    assert_eq!(document.confidentiality(), Confidentiality::Confidential);
    assert_eq!(document.expire_time.unwrap().seconds, 1_798_761_600);
    assert!(document.metadata.unwrap().fields.contains_key("amount"));
}
