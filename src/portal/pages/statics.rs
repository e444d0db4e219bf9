//! Styles, script, font and pictures.

use axum::response::Response;
use http::HeaderMap;

use crate::portal::answer::Failure;
use crate::portal::assets;
use crate::portal::context::Params;

pub(crate) async fn file(params: Params, headers: HeaderMap) -> Result<Response, Failure> {
    let (fingerprint, name): (String, String) = (params.get("fingerprint")?, params.get("name")?);
    Ok(assets::serve(&fingerprint, &name, &headers))
}
