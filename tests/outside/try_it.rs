//! The console's "try it" box: through the real data plane, with a key whose text nobody gave, counted like any call.

use tollgate_tests::{Engine, House, http::Request, json, on_both};

on_both!(a_model_is_tried_through_the_data_plane_and_counted);

const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");

pub(crate) async fn session(house: &House) -> String {
    let me = house.api("GET", "me").send().await.expect(200).json();
    let path = format!("users/{}/sign-in-links", me["user"]["id"].as_str().unwrap());
    let link = house.api("POST", &path).send().await.expect(201).json()["url"].as_str().unwrap().to_owned();
    let path = link[link.find("/sign-in/").unwrap()..].to_owned();
    let signed_in = house.http().request("POST", &path).header(OWN.0, OWN.1).send().await.expect(303);
    signed_in.header("set-cookie").split(';').next().unwrap().to_owned()
}

async fn a_model_is_tried_through_the_data_plane_and_counted(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let cookie = session(&house).await;
    let form = |accept: &str| -> Request {
        let request = house.http().request("POST", "/a/default/models/chat-a/try");
        let request = request.header(OWN.0, OWN.1).header("cookie", &cookie).header("accept", accept);
        request.header("content-type", "application/x-www-form-urlencoded").body(format!("key={}&text=hello", key.id))
    };
    let whole = form("text/html").send().await.expect(200);
    assert!(String::from_utf8_lossy(&whole.body).contains("input tokens"));
    let mut stream = form("text/event-stream").stream().await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.events().await.unwrap().last().unwrap(), "[DONE]");
    let usage = house.usage_of(2).await;
    let (requests, input, output) = house.upstream.count();
    assert_eq!((requests, &usage["input_tokens"], &usage["output_tokens"]), (2, &json!(input), &json!(output)));
    assert_eq!(house.usage_by("key").await[0]["key"], json!(key.id));

    // A key that is dead is as dead here.
    house.revoke(&key).await;
    let dead = form("text/html").send().await.expect(200);
    assert!(String::from_utf8_lossy(&dead.body).contains("revoked"), "{dead:?}");
    assert_eq!(house.upstream.count().0, 2);
}
