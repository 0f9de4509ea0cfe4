use super::*;

/// A resolver that answers what it is told to, and counts.
#[derive(Debug, Clone, Default)]
struct Names {
    answers: Arc<Mutex<Option<Vec<SocketAddr>>>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    fn are(&self, last_bytes: &[u8]) {
        let addresses = last_bytes.iter().map(|last| SocketAddr::from(([10, 0, 0, *last], 1))).collect();
        *self.answers.lock().unwrap() = Some(addresses);
    }

    fn cannot_be_found(&self) {
        *self.answers.lock().unwrap() = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    async fn endpoints(&self) -> Result<Endpoints, Error> {
        let names = self.clone();
        let lookup: Lookup = Arc::new(move |_, _| {
            names.asked.fetch_add(1, Ordering::Relaxed);
            let answer = names.answers.lock().unwrap().clone();
            Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
        });
        let connector = Connector { connect_timeout: Duration::from_secs(1), user_agent: "test".to_owned(), tls: None };
        let origin = Origin::parse("http://router:1").unwrap();
        Endpoints::new(vec![origin], connector, lookup, Duration::from_secs(10)).await
    }
}

fn labels(endpoints: &Endpoints) -> Vec<String> {
    endpoints.pool.addresses().iter().map(|address| address.label.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn addresses_follow_the_name_and_those_that_stay_keep_their_channel() {
    let names = Names::default();
    names.are(&[1, 2]);
    let endpoints = names.endpoints().await.unwrap();
    let before = endpoints.pool.addresses();
    assert_eq!(labels(&endpoints), ["http://router:1 (10.0.0.1:1)", "http://router:1 (10.0.0.2:1)"]);

    names.are(&[2, 3]);
    tokio::time::sleep(Duration::from_secs(11)).await;
    let after = endpoints.pool.addresses();
    assert_eq!(labels(&endpoints), ["http://router:1 (10.0.0.2:1)", "http://router:1 (10.0.0.3:1)"]);
    assert!(Arc::ptr_eq(&before[1], &after[0]));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_looked_up_keeps_its_addresses() {
    let names = Names::default();
    names.are(&[1]);
    let endpoints = names.endpoints().await.unwrap();
    names.cannot_be_found();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(names.asked() > 3);
    assert_eq!(labels(&endpoints).len(), 1);
    names.are(&[]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(labels(&endpoints).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_without_an_address_is_told_at_once() {
    let error = Names::default().endpoints().await.unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Connect);
    assert!(error.to_string().contains("http://router:1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_looks_the_name_up_soon_but_not_again_and_again() {
    let names = Names::default();
    names.are(&[1]);
    let endpoints = names.endpoints().await.unwrap();
    assert_eq!(names.asked(), 1);
    for _ in 0..1000 {
        endpoints.take(None).unwrap().ended(Ending::NotReached);
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(names.asked(), 2);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(names.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_client() {
    let names = Names::default();
    names.are(&[1]);
    let endpoints = names.endpoints().await.unwrap();
    let pool = Arc::downgrade(&endpoints.pool);
    drop(endpoints);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(names.asked(), 1);
    assert!(pool.upgrade().is_none(), "the channels are closed");
}

#[tokio::test]
async fn a_call_counts_until_it_is_dropped() {
    let names = Names::default();
    names.are(&[1, 2]);
    let endpoints = names.endpoints().await.unwrap();
    let (one, two) = (endpoints.take(None).unwrap(), endpoints.take(None).unwrap());
    assert!(!Arc::ptr_eq(&one.address, &two.address));
    let freed = Arc::clone(&one.address);
    drop(one);
    for _ in 0..2 {
        // Whoever's turn it is: the free one has fewer.
        assert!(Arc::ptr_eq(&endpoints.take(None).unwrap().address, &freed));
    }
}
