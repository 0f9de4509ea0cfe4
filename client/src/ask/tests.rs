use super::*;

/// Names what `Ask` is asked for, as the parameter of a method does.
fn asked<R>(given: impl Ask<R>) -> R {
    given.ask()
}

fn read() -> Document {
    Document { document_id: "id".into(), etag: "e".into(), ..Default::default() }
}

macro_rules! asks_with_etag {
    ($($request:ident),*) => {$({
        let expected = $request { document_id: "id".into(), etag: "e".into(), ..Default::default() };
        let answer = Answer::new(read(), None);
        assert_eq!(asked::<$request>(&answer), expected);
        assert_eq!(asked::<$request>(&read()), expected);
        assert_eq!(asked::<$request>(("id", "e")), expected);
        assert_eq!(asked::<$request>((String::from("id"), &String::from("e"))), expected);
    })*};
}

macro_rules! asks_by_id {
    ($($request:ident),*) => {$({
        let expected = $request { document_id: "id".into(), ..Default::default() };
        assert_eq!(asked::<$request>(&Answer::new(read(), None)), expected);
        assert_eq!(asked::<$request>(&read()), expected);
        assert_eq!(asked::<$request>("id"), expected);
    })*};
}

#[test]
fn what_was_read_is_changed_as_it_was_read() {
    asks_with_etag!(ApproveDocumentRequest, SubmitDocumentRequest, ArchiveDocumentRequest, DeleteDocumentRequest);
}

#[test]
fn what_has_no_etag_is_asked_by_the_id_of_what_was_read() {
    asks_by_id!(GetDocumentRequest, UndeleteDocumentRequest, ListDocumentTransitionsRequest, DownloadContentRequest);
}

#[test]
fn a_rejection_takes_what_was_read_and_a_comment_of_any_text() {
    let expected =
        RejectDocumentRequest { document_id: "id".into(), etag: "e".into(), comment: "c".into(), ..Default::default() };
    assert_eq!(asked::<RejectDocumentRequest>((&Answer::new(read(), None), "c")), expected);
    assert_eq!(asked::<RejectDocumentRequest>((&read(), String::from("c"))), expected);
    assert_eq!(asked::<RejectDocumentRequest>((String::from("id"), "e", &String::from("c"))), expected);
}

#[test]
fn ids_come_in_any_row() {
    let ids = vec![String::from("a"), String::from("b")];
    let expected = BatchGetDocumentsRequest { document_ids: ids.clone(), ..Default::default() };
    assert_eq!(asked::<BatchGetDocumentsRequest>(&ids), expected);
    assert_eq!(asked::<BatchGetDocumentsRequest>(ids.as_slice()), expected);
    assert_eq!(asked::<BatchGetDocumentsRequest>([String::from("a"), String::from("b")]), expected);
    assert_eq!(asked::<BatchGetDocumentsRequest>(["a", "b"]), expected);
    assert_eq!(asked::<BatchGetDocumentsRequest>(&["a", "b"][..]), expected);
    assert_eq!(asked::<BatchGetDocumentsRequest>(ids), expected);
}

#[test]
fn documents_and_filters_may_be_lent() {
    assert_eq!(asked::<CreateDocumentRequest>(&read()).document, Some(read()));
    let filter = DocumentFilter { category: "invoice".into(), ..Default::default() };
    assert_eq!(asked::<ListDocumentsRequest>(&filter).filter.as_ref(), Some(&filter));
    let expected = SearchDocumentsRequest { query: "q".into(), filter: Some(filter.clone()), ..Default::default() };
    assert_eq!(asked::<SearchDocumentsRequest>(("q", &filter)), expected);
    assert_eq!(asked::<SearchDocumentsRequest>((String::from("q"), filter)), expected);
}
