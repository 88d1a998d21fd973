//! From the start of the program to `/readyz`, on an empty store.

use super::{median, ms};
use crate::{Line, Scale, scene::Scene};

/// Measures.
pub fn measure(_scale: Scale) -> anyhow::Result<Vec<Line>> {
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let scene = Scene::new(None, 0)?;
        let server = scene.start()?;
        first.push(server.ready_after);
        server.stop()?;
        again.push(scene.start()?.ready_after);
    }
    let (first, again) = (median(first).unwrap_or_default(), median(again).unwrap_or_default());
    let met = if first.as_millis() < 300 { "" } else { ", missed" };
    Ok(vec![Line {
        what: "start to /readyz on an empty store".to_owned(),
        ours: ms(first),
        neighbour: format!("a second start: {}", ms(again)),
        goal: format!("under 300 ms{met}"),
    }])
}
