//! Who belongs to a tenant.

use http::StatusCode;

use super::ApiState;
use super::access::{In, State};
use super::extract::{Item, Json, Query};
use super::model::{MemberView, PutMember};
use super::problem::Problem;
use super::reply::{Page, Paging};
use super::routes::TENANT;
use crate::apps::Caller;
use crate::tenancy::access::Entered;

fn entered(caller: Caller) -> Entered {
    Entered { tenant: caller.tenant, slug: caller.slug, role: caller.role }
}

/// List the members.
#[utoipa::path(get, context_path = TENANT, path = "/members", tag = "members", params(Paging),
    responses((status = 200, description = "The members by e-mail address", body = Page<MemberView>)))]
pub(super) async fn list(
    State(api): State<ApiState>,
    In(caller): In,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<MemberView>>, Problem> {
    let all = api.apps.members(&entered(caller)).await?.into_iter().map(MemberView::from).collect();
    Page::of(all, &paging, |m| m.email.clone())
}

/// Add a member, or change their role.
#[utoipa::path(put, context_path = TENANT, path = "/members", tag = "members", request_body = PutMember,
    responses((status = 204, description = "The person is a member with this role")))]
pub(super) async fn put(
    State(api): State<ApiState>,
    In(caller): In,
    Json(member): Json<PutMember>,
) -> Result<StatusCode, Problem> {
    api.apps.put_member(&entered(caller), &member.email, member.role).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a member.
///
/// The last owner stays.
#[utoipa::path(delete, context_path = TENANT, path = "/members/{email}", tag = "members",
    responses((status = 204, description = "The person is not a member any more")))]
pub(super) async fn remove(
    State(api): State<ApiState>,
    In(caller): In,
    Item(email): Item<String>,
) -> Result<StatusCode, Problem> {
    api.apps.remove_member(&entered(caller), &email).await?;
    Ok(StatusCode::NO_CONTENT)
}
