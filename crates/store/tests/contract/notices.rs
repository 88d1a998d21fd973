//! The outbox: who is told, by which one node, and what the log keeps of it.

use std::{collections::BTreeSet, time::Duration};

use tollgate_core::{
    Account, Id, Key, Notice, Role, User,
    notice::{DeliveryProblem, KeyLeaked, LeakSource, Webhook},
};
use tollgate_store::{
    PageRequest, StoreError,
    accounts::{NewAccount, NewUser, UserEdit},
    notices::{Attempt, Claim, DeliveryState, Due, Outcome, Receiver},
    webhooks::{MOST_WEBHOOKS, NewWebhook, WebhookEdit, WebhookState, WebhooksOf},
};

use crate::support::*;

contract! {
    a_notice_is_told_to_owners_its_keys_maker_operators_and_endpoints_once_each,
    nobody_is_mailed_where_the_deployment_sends_no_mail,
    notices_of_one_moment_come_in_one_mail,
    what_one_node_sends_no_other_does_until_its_claim_runs_out,
    what_failed_is_due_again_when_it_was_said,
    whoever_has_no_address_any_more_is_not_written_to,
    one_endpoint_does_not_take_up_all_that_is_sent,
    an_endpoint_that_fails_for_days_is_given_up_and_its_owners_are_told,
    an_endpoint_is_edited_rotated_and_removed_by_its_account_alone,
    there_are_no_more_endpoints_than_allowed_and_none_twice,
    a_test_reaches_its_one_receiver_and_one_that_is_switched_off_too,
    a_delivery_is_sent_again_by_hand,
    the_log_forgets_what_is_over,
}

/// How long the cases' claims hold.
const HOLD: Duration = Duration::from_secs(60);

/// A store with an operator, an account with an owner, a member who made a key, and a viewer; all have addresses.
struct Scene {
    account: Id<Account>,
    key: Key,
}

async fn scene(fixture: &Fixture) -> Scene {
    let store = &fixture.store;
    let seeded = store.seed().await.unwrap();
    let operator = UserEdit { email: Some(Some(named("operator@example.com"))), ..UserEdit::default() };
    value(store.user_edit(&system(), seeded.operator, operator, None).await);
    let plan = store.account_get("default").await.unwrap().subscription.unwrap().plan_handle;
    let new = NewAccount { handle: named("acme"), name: named("Acme"), plan: Some((plan, None)), owner: None };
    let account = value(store.account_create(&system(), new).await).id;
    user(fixture, "owner", &[("acme", Role::Owner)]).await;
    let maker = user(fixture, "maker", &[("acme", Role::Member)]).await;
    user(fixture, "viewer", &[("acme", Role::Viewer)]).await;
    user(fixture, "stranger", &[]).await;
    let key = NewKeyBy(maker.id).make(fixture, account).await;
    Scene { account, key }
}

struct NewKeyBy(Id<User>);
impl NewKeyBy {
    async fn make(&self, fixture: &Fixture, account: Id<Account>) -> Key {
        let mut new = new_key(&fixture.world, account, "CI");
        new.created_by = Some(self.0);
        value(fixture.store.key_create(&system(), new).await)
    }
}

async fn user(fixture: &Fixture, name: &str, memberships: &[(&str, Role)]) -> User {
    let new = NewUser {
        name: named(name),
        email: Some(named(&format!("{name}@example.com"))),
        operator: false,
        memberships: memberships.iter().map(|(account, role)| (named(account), *role)).collect(),
        idempotency_key: None,
    };
    fixture.store.user_create(&system(), new).await.unwrap()
}

fn leaked(fixture: &Fixture, scene: &Scene) -> Notice {
    Notice::KeyLeaked(KeyLeaked {
        account: scene.account,
        key: scene.key.id,
        name: scene.key.name.clone(),
        hint: scene.key.hint().to_string(),
        found_at: Some("https://git.example/\u{0}<b>".into()),
        source: LeakSource::Github,
        at: fixture.world.now(),
        disabled: true,
    })
}

async fn webhook(fixture: &Fixture, account: Option<Id<Account>>, name: &str) -> Id<Webhook> {
    let new = NewWebhook {
        id: Id::new(&fixture.world),
        account,
        name: named(name),
        url: format!("https://{name}.example/hook"),
        secret: b"sealed".to_vec(),
        idempotency_key: None,
    };
    fixture.store.webhook_create(&system(), new).await.unwrap().id
}

async fn tell(fixture: &Fixture, notice: &Notice) {
    fixture.store.notice_create(&system(), notice).await.unwrap();
    while fixture.store.notices_spread(true).await.unwrap() > 0 {}
}

async fn claim(fixture: &Fixture) -> (Claim, Vec<Due>) {
    fixture.store.deliveries_claim(32, HOLD).await.unwrap()
}

fn to(due: &Due) -> String {
    match due.receiver.as_ref().unwrap() {
        Receiver::Mail { email, .. } => email.to_string(),
        Receiver::Webhook { url, .. } => url.clone(),
    }
}

fn receivers(due: &[Due]) -> Vec<String> {
    let mut receivers: Vec<_> = due.iter().map(to).collect();
    receivers.sort();
    receivers
}

async fn attempted(fixture: &Fixture, claim: &Claim, due: &Due, outcome: Outcome) -> bool {
    let (at, duration) = (fixture.world.now(), Duration::from_millis(12));
    let status = matches!(outcome, Outcome::Failed { problem: DeliveryProblem::Status, .. }).then_some(500);
    let attempt = Attempt { at, duration, status, outcome };
    fixture.store.delivery_attempted(claim, due.id, &attempt).await.unwrap()
}

async fn a_notice_is_told_to_owners_its_keys_maker_operators_and_endpoints_once_each(fixture: Fixture) {
    let scene = scene(&fixture).await;
    let other = fixture.store.seed().await.unwrap().account;
    for (account, name) in [(Some(scene.account), "acme"), (None, "deployment"), (Some(other), "other")] {
        webhook(&fixture, account, name).await;
    }
    let notice = leaked(&fixture, &scene);
    assert!(!fixture.store.notices_waiting().await.unwrap());
    tell(&fixture, &notice).await;
    assert!(fixture.store.notices_waiting().await.unwrap());
    let (claim, due) = claim(&fixture).await;
    let told = [
        "https://acme.example/hook",
        "https://deployment.example/hook",
        "maker@example.com",
        "operator@example.com",
        "owner@example.com",
    ];
    assert_eq!(receivers(&due), told);
    assert_eq!(due.iter().map(|due| due.id).collect::<BTreeSet<_>>().len(), told.len());
    for due in &due {
        let [told] = due.notices.as_slice() else { panic!("{due:?}") };
        assert_eq!((&told.notice, told.account.as_deref(), due.attempts), (&notice, Some("acme"), 0));
        assert!(attempted(&fixture, &claim, due, Outcome::Sent).await);
    }
    assert!(!fixture.store.notices_waiting().await.unwrap());
    assert_eq!(fixture.store.deliveries_pending().await.unwrap(), []);
}

async fn nobody_is_mailed_where_the_deployment_sends_no_mail(fixture: Fixture) {
    let scene = scene(&fixture).await;
    webhook(&fixture, None, "deployment").await;
    fixture.store.notice_create(&system(), &leaked(&fixture, &scene)).await.unwrap();
    assert_eq!(fixture.store.notices_spread(false).await.unwrap(), 1);
    assert_eq!(fixture.store.notices_spread(true).await.unwrap(), 0);
    assert_eq!(receivers(&claim(&fixture).await.1), ["https://deployment.example/hook"]);
}

async fn notices_of_one_moment_come_in_one_mail(fixture: Fixture) {
    let scene = scene(&fixture).await;
    webhook(&fixture, None, "deployment").await;
    for _ in 0..3 {
        fixture.store.notice_create(&system(), &leaked(&fixture, &scene)).await.unwrap();
    }
    tell(&fixture, &leaked(&fixture, &scene)).await;
    let (_, due) = claim(&fixture).await;
    let many = |due: &Due| (to(due), due.notices.len());
    let mut told: Vec<_> = due.iter().map(many).collect();
    told.sort();
    assert_eq!(told[..4], [(); 4].map(|()| ("https://deployment.example/hook".to_owned(), 1)));
    let mailed: Vec<_> = told[4..].iter().map(|(_, notices)| *notices).collect();
    assert_eq!(mailed, [4, 4, 4]);
}

async fn what_one_node_sends_no_other_does_until_its_claim_runs_out(fixture: Fixture) {
    let scene = scene(&fixture).await;
    fixture.store.notice_create(&system(), &leaked(&fixture, &scene)).await.unwrap();
    // On SQLite there is one node; there the same store asks many times at once.
    let mut nodes = vec![fixture.store.clone(); 4];
    if fixture.url.starts_with("postgres") {
        for node in &mut nodes {
            *node = fixture.open_another().await;
        }
    }
    let asked = nodes.iter().cloned().map(|node| {
        tokio::spawn(async move {
            node.notices_spread(true).await.unwrap();
            node.deliveries_claim(32, HOLD).await.unwrap()
        })
    });
    let mut claims = Vec::new();
    for asked in asked.collect::<Vec<_>>() {
        let (claim, due) = asked.await.unwrap();
        claims.extend(due.into_iter().map(|due| (claim.clone(), due)));
    }
    let all: Vec<_> = claims.iter().map(|(_, due)| due.clone()).collect();
    assert_eq!(receivers(&all), ["maker@example.com", "operator@example.com", "owner@example.com"]);
    let (sent, lost) = (&claims[0], &claims[1]);
    assert!(attempted(&fixture, &sent.0, &sent.1, Outcome::Sent).await);
    // The node of the second one dies; what it had is another's once the claim runs out, under the same id.
    fixture.hands.forward(HOLD);
    let (claim, due) = claim(&fixture).await;
    assert_eq!(due.len(), 2);
    let again = due.iter().find(|due| due.id == lost.1.id).expect("the lost one comes again");
    assert_eq!(again.attempts, 0);
    // It was not dead after all, but it is too late to say so.
    assert!(!attempted(&fixture, &lost.0, &lost.1, Outcome::Sent).await);
    assert!(attempted(&fixture, &claim, again, Outcome::Sent).await);
    assert!(!attempted(&fixture, &claim, again, Outcome::Sent).await, "once is enough");
    for node in nodes.iter().filter(|_| fixture.url.starts_with("postgres")) {
        node.close().await;
    }
}

async fn what_failed_is_due_again_when_it_was_said(fixture: Fixture) {
    let scene = scene(&fixture).await;
    let id = webhook(&fixture, Some(scene.account), "acme").await;
    fixture.store.notice_create(&system(), &leaked(&fixture, &scene)).await.unwrap();
    fixture.store.notices_spread(false).await.unwrap();
    let wait = Duration::from_secs(300);
    let (first, due) = claim(&fixture).await;
    let retry_at = Some(fixture.world.now().plus(wait));
    let failed = Outcome::Failed { problem: DeliveryProblem::Status, retry_at };
    assert!(attempted(&fixture, &first, &due[0], failed).await);
    assert!(claim(&fixture).await.1.is_empty() && !fixture.store.notices_waiting().await.unwrap());
    assert_eq!(fixture.store.deliveries_pending().await.unwrap(), [("webhook".to_owned(), 1)]);
    let failing_since = fixture.store.webhook_get(None, id).await.unwrap().failing_since;
    assert_eq!(failing_since, Some(fixture.world.now()));
    fixture.hands.forward(wait);
    let (second, due) = claim(&fixture).await;
    assert_eq!(due[0].attempts, 1);
    assert!(attempted(&fixture, &second, &due[0], Outcome::Sent).await);
    assert_eq!(fixture.store.webhook_get(None, id).await.unwrap().failing_since, None);
    let log = fixture.store.delivery_list(id, &PageRequest::default()).await.unwrap().data;
    let [delivery] = log.as_slice() else { panic!("{log:?}") };
    assert_eq!((delivery.state, delivery.kind.as_str(), delivery.next_at), (DeliveryState::Sent, "key.leaked", None));
    let attempts: Vec<_> = delivery.attempts.iter().map(|one| (one.status, one.problem, one.duration_ms)).collect();
    assert_eq!(attempts, [(Some(500), Some(DeliveryProblem::Status), 12), (None, None, 12)]);
}

async fn whoever_has_no_address_any_more_is_not_written_to(fixture: Fixture) {
    let scene = scene(&fixture).await;
    tell(&fixture, &leaked(&fixture, &scene)).await;
    let users = fixture.store.user_list(None, &PageRequest::default()).await.unwrap().data;
    let by_name = |name: &str| users.iter().find(|user| user.name.as_str() == name).unwrap().id;
    let gone = UserEdit { email: Some(None), ..UserEdit::default() };
    value(fixture.store.user_edit(&system(), by_name("owner"), gone, None).await);
    let disabled = UserEdit { disabled: Some(true), ..UserEdit::default() };
    value(fixture.store.user_edit(&system(), by_name("maker"), disabled, None).await);
    let (_, due) = claim(&fixture).await;
    let nobody = due.iter().filter(|due| matches!(due.receiver, Err(DeliveryProblem::NoAddress))).count();
    assert_eq!((due.len(), nobody), (3, 2));
}

async fn one_endpoint_does_not_take_up_all_that_is_sent(fixture: Fixture) {
    let scene = scene(&fixture).await;
    for name in ["one", "two"] {
        webhook(&fixture, Some(scene.account), name).await;
    }
    for _ in 0..6 {
        fixture.store.notice_create(&system(), &leaked(&fixture, &scene)).await.unwrap();
    }
    fixture.store.notices_spread(false).await.unwrap();
    let (first, due) = claim(&fixture).await;
    let of_one = |due: &[Due]| due.iter().filter(|due| to(due).contains("one")).count();
    assert_eq!((due.len(), of_one(&due)), (8, 4));
    assert!(claim(&fixture).await.1.is_empty(), "four of each are on their way");
    let done = due.iter().find(|due| to(due).contains("two")).unwrap();
    assert!(attempted(&fixture, &first, done, Outcome::Sent).await);
    let (_, due) = claim(&fixture).await;
    assert_eq!((due.len(), of_one(&due)), (1, 0));
}

async fn an_endpoint_that_fails_for_days_is_given_up_and_its_owners_are_told(fixture: Fixture) {
    let scene = scene(&fixture).await;
    let id = webhook(&fixture, Some(scene.account), "acme").await;
    let store = &fixture.store;
    store.notice_create(&system(), &leaked(&fixture, &scene)).await.unwrap();
    store.notices_spread(false).await.unwrap();
    let (first, due) = claim(&fixture).await;
    let later = fixture.world.now().plus(Duration::from_secs(5));
    let failed = Outcome::Failed { problem: DeliveryProblem::TimedOut, retry_at: Some(later) };
    attempted(&fixture, &first, &due[0], failed).await;
    let days = Duration::from_secs(5 * 86_400);
    let give_up = async || {
        store.webhook_give_up(id, fixture.world.now().minus(days), DeliveryProblem::TimedOut, None).await.unwrap()
    };
    assert!(!give_up().await, "it has only begun to fail");
    fixture.hands.forward(days);
    assert!(give_up().await);
    assert!(!give_up().await, "once");
    assert_eq!(store.webhook_get(None, id).await.unwrap().state, WebhookState::Failed);
    store.notices_spread(true).await.unwrap();
    let (_, due) = claim(&fixture).await;
    let (stopped, told): (Vec<_>, Vec<_>) = due.into_iter().partition(|due| due.receiver.is_err());
    assert!(matches!(stopped.as_slice(), [due] if due.receiver.clone().err() == Some(DeliveryProblem::Stopped)));
    assert_eq!(receivers(&told), ["operator@example.com", "owner@example.com"]);
    assert_eq!(told[0].notices[0].notice.kind(), "webhook.disabled");
    let on = WebhookEdit { enabled: Some(true), ..WebhookEdit::default() };
    let webhook = store.webhook_edit(&system(), Some(scene.account), id, on, None).await.unwrap();
    assert_eq!((webhook.state, webhook.failing_since), (WebhookState::Active, None));
}

async fn an_endpoint_is_edited_rotated_and_removed_by_its_account_alone(fixture: Fixture) {
    let scene = scene(&fixture).await;
    let store = &fixture.store;
    let other = store.seed().await.unwrap().account;
    let (own, of_deployment) =
        (webhook(&fixture, Some(scene.account), "acme").await, webhook(&fixture, None, "all").await);
    let rename = || WebhookEdit { name: Some(named("renamed")), ..WebhookEdit::default() };
    for id in [own, of_deployment] {
        let until = fixture.world.now();
        let refused = [
            store.webhook_get(Some(other), id).await.err(),
            store.webhook_edit(&system(), Some(other), id, rename(), None).await.err(),
            store.webhook_rotate(&system(), Some(other), id, b"new".to_vec(), until).await.err(),
            store.webhook_remove(&system(), Some(other), id).await.err(),
            store.webhook_test(&system(), Some(other), id, HOLD).await.err(),
        ];
        assert!(refused.iter().all(|error| matches!(error, Some(StoreError::NotFound))), "{refused:?}");
    }
    let edited = store.webhook_edit(&system(), Some(scene.account), own, rename(), Some(1)).await.unwrap();
    assert_eq!((edited.name.as_str(), edited.version), ("renamed", 2));
    let late = store.webhook_edit(&system(), Some(scene.account), own, WebhookEdit::default(), Some(1)).await;
    assert!(matches!(late, Err(StoreError::VersionConflict)));
    let until = fixture.world.now().plus(Duration::from_secs(3_600));
    store.webhook_rotate(&system(), Some(scene.account), own, b"new".to_vec(), until).await.unwrap();
    tell(&fixture, &leaked(&fixture, &scene)).await;
    let secrets = async || {
        let (_, due) = claim(&fixture).await;
        let due = due.into_iter().find(|due| due.receiver.is_ok() && to(due).contains("acme")).unwrap();
        match due.receiver.unwrap() {
            Receiver::Webhook { secret, previous_secret, .. } => (secret, previous_secret),
            Receiver::Mail { .. } => panic!(),
        }
    };
    assert_eq!(secrets().await, (b"new".to_vec(), Some(b"sealed".to_vec())));
    fixture.hands.forward(Duration::from_secs(3_600));
    assert_eq!(secrets().await, (b"new".to_vec(), None));
    let ids = async |of| {
        let page = store.webhook_list(of, &PageRequest::default()).await.unwrap();
        page.data.iter().map(|webhook| webhook.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(WebhooksOf::All).await, [own, of_deployment]);
    assert_eq!(ids(WebhooksOf::Deployment).await, [of_deployment]);
    assert_eq!(ids(WebhooksOf::Account(scene.account)).await, [own]);
    store.webhook_remove(&system(), Some(scene.account), own).await.unwrap();
    assert_eq!(ids(WebhooksOf::Account(scene.account)).await, []);
    assert!(matches!(store.webhook_get(None, own).await, Err(StoreError::NotFound)));
    fixture.hands.forward(HOLD);
    let (_, due) = claim(&fixture).await;
    let stopped = due.iter().filter(|due| matches!(due.receiver, Err(DeliveryProblem::Stopped))).count();
    assert_eq!(stopped, 1, "what waits for it is not sent");
}

async fn there_are_no_more_endpoints_than_allowed_and_none_twice(fixture: Fixture) {
    let scene = scene(&fixture).await;
    for account in [Some(scene.account), None] {
        let new = |name: String| NewWebhook {
            id: Id::new(&fixture.world),
            account,
            name: named(&name),
            url: "https://example.com/".into(),
            secret: b"sealed".to_vec(),
            idempotency_key: Some(name),
        };
        let first = fixture.store.webhook_create(&system(), new("w0".into())).await.unwrap();
        let again = fixture.store.webhook_create(&system(), new("w0".into())).await;
        assert!(matches!(again, Err(StoreError::AlreadyCreated(id)) if id == first.id.to_string()));
        for number in 1..MOST_WEBHOOKS {
            fixture.store.webhook_create(&system(), new(format!("w{number}"))).await.unwrap();
        }
        let one_more = fixture.store.webhook_create(&system(), new("more".into())).await;
        assert!(matches!(one_more, Err(StoreError::State(_))));
    }
}

async fn a_test_reaches_its_one_receiver_and_one_that_is_switched_off_too(fixture: Fixture) {
    let scene = scene(&fixture).await;
    let store = &fixture.store;
    let id = webhook(&fixture, Some(scene.account), "acme").await;
    webhook(&fixture, None, "deployment").await;
    let off = WebhookEdit { enabled: Some(false), ..WebhookEdit::default() };
    store.webhook_edit(&system(), None, id, off, None).await.unwrap();
    let (own, due) = store.webhook_test(&system(), Some(scene.account), id, HOLD).await.unwrap();
    assert_eq!((to(&due).as_str(), due.notices[0].notice.kind()), ("https://acme.example/hook", "test"));
    assert_eq!(store.notices_spread(true).await.unwrap(), 0);
    assert!(claim(&fixture).await.1.is_empty(), "whoever asked for it sends it");
    assert!(attempted(&fixture, &own, &due, Outcome::Sent).await);
    let operator = store.seed().await.unwrap().operator;
    let (_, due) = store.mail_test(&system(), operator, HOLD).await.unwrap();
    assert_eq!(to(&due), "operator@example.com");
}

async fn a_delivery_is_sent_again_by_hand(fixture: Fixture) {
    let scene = scene(&fixture).await;
    let store = &fixture.store;
    let id = webhook(&fixture, Some(scene.account), "acme").await;
    store.notice_create(&system(), &leaked(&fixture, &scene)).await.unwrap();
    store.notices_spread(false).await.unwrap();
    let (first, due) = claim(&fixture).await;
    let again = async || store.delivery_resend(&system(), Some(scene.account), id, due[0].id, HOLD).await;
    assert!(matches!(again().await, Err(StoreError::State(_))), "it is on its way");
    let failed = Outcome::Failed { problem: DeliveryProblem::Unreachable, retry_at: None };
    attempted(&fixture, &first, &due[0], failed).await;
    let (second, once_more) = again().await.unwrap();
    assert_eq!((once_more.id, once_more.attempts, once_more.notices[0].id), (due[0].id, 1, due[0].notices[0].id));
    assert!(attempted(&fixture, &second, &once_more, Outcome::Sent).await);
    let log = store.delivery_list(id, &PageRequest::default()).await.unwrap().data;
    assert_eq!((log[0].state, log[0].attempts.len()), (DeliveryState::Sent, 2));
    let other = webhook(&fixture, None, "other").await;
    let foreign = store.delivery_resend(&system(), None, other, due[0].id, HOLD).await;
    assert!(matches!(foreign, Err(StoreError::NotFound)));
}

async fn the_log_forgets_what_is_over(fixture: Fixture) {
    let scene = scene(&fixture).await;
    let store = &fixture.store;
    let id = webhook(&fixture, Some(scene.account), "acme").await;
    let retry_at = Some(fixture.world.now().plus(Duration::from_secs(5)));
    for outcome in [Outcome::Sent, Outcome::Failed { problem: DeliveryProblem::Tls, retry_at }] {
        store.notice_create(&system(), &leaked(&fixture, &scene)).await.unwrap();
        store.notices_spread(false).await.unwrap();
        let (claim, due) = claim(&fixture).await;
        attempted(&fixture, &claim, &due[0], outcome).await;
    }
    assert_eq!(store.notices_prune().await.unwrap(), 0);
    fixture.hands.forward(Duration::from_secs(31 * 86_400));
    assert_eq!(store.notices_prune().await.unwrap(), 1);
    let log = store.delivery_list(id, &PageRequest::default()).await.unwrap().data;
    assert!(matches!(log.as_slice(), [one] if one.state == DeliveryState::Pending), "{log:?}");
}
