//! The console's own files: compiled in, compressed once, cached for ever under an address that changes with them.

use std::{io::Write as _, sync::LazyLock};

use axum::{
    extract::{Path, RawQuery},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, StatusCode, header};

/// A file and where it is served.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    gzip: Vec<u8>,
    /// Its address, with a mark of its content.
    address: String,
}

impl Asset {
    fn new(name: &'static str, kind: &'static str, bytes: &'static [u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Into memory: cannot fail; if it did, the file goes out as it is.
        let gzip = encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default();
        let address = format!("/assets/{name}?v={:08x}", crc32fast::hash(bytes));
        Self { name, kind, bytes, gzip, address }
    }
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    vec![
        Asset::new("tollgate.css", "text/css; charset=utf-8", include_bytes!("../../assets/tollgate.css")),
        Asset::new("tollgate.js", SCRIPT, include_bytes!("../../assets/tollgate.js")),
        Asset::new("usage.js", SCRIPT, include_bytes!("../../assets/usage.js")),
        Asset::new("htmx.js", SCRIPT, include_bytes!("../../assets/vendor/htmx-2.0.11/htmx.min.js")),
        Asset::new("docs.js", SCRIPT, include_bytes!("../../assets/docs.js")),
        Asset::new("try.js", SCRIPT, include_bytes!("../../assets/try.js")),
        Asset::new("chart.js", SCRIPT, include_bytes!("../../assets/vendor/chart.js-4.6.1/chart.umd.min.js")),
        Asset::new("icon.svg", "image/svg+xml", include_bytes!("../../assets/icon.svg")),
    ]
});

/// The address of a file of this name; for templates.
pub(crate) fn asset(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| &asset.address)
}

/// Serves a file.
pub(crate) async fn serve(Path(name): Path<String>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let is_marked = query.is_some_and(|query| asset.address.ends_with(&format!("?{query}")));
    let cache = if is_marked { "public, max-age=31536000, immutable" } else { "public, max-age=300" };
    let fixed = [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, cache), (header::VARY, "accept-encoding")];
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("gzip") && !asset.gzip.is_empty() {
        (fixed, [(header::CONTENT_ENCODING, "gzip")], asset.gzip.as_slice()).into_response()
    } else {
        (fixed, asset.bytes).into_response()
    }
}
