//! Set-up, log-in, and one's own account.

use http::StatusCode;

use super::ApiState;
use super::access::{ClientAddress, Me, State};
use super::extract::{Item, Json, Query};
use super::model::{
    AccountView, KeyView, LoginOutcome, LoginRequest, MadeToken, NewKey, NewToken, PasswordChange, SetupRequest,
    TokenView, UserView,
};
use super::problem::Problem;
use super::reply::{Page, Paging, created};
use super::routes::BASE;
use crate::apps::SetupOutcome;
use crate::kernel::id::{SshKeyId, TokenId};

type Created<T> = (StatusCode, Json<T>);

/// Set the installation up.
///
/// Spends the one-time token `wharf serve` printed at its first start: makes the operator and the first organisation.
#[utoipa::path(post, context_path = BASE, path = "/setup", tag = "account", request_body = SetupRequest,
    responses((status = 201, description = "The installation is set up", body = SetupOutcome)))]
pub(super) async fn setup(
    State(api): State<ApiState>,
    Json(request): Json<SetupRequest>,
) -> Result<Created<SetupOutcome>, Problem> {
    Ok(created(api.apps.setup(&request.token, request.person, request.tenant).await?))
}

/// Log in.
///
/// Gives an API token of full scope for e-mail address and password. Failed attempts are slowed down.
#[utoipa::path(post, context_path = BASE, path = "/login", tag = "account", request_body = LoginRequest,
    responses((status = 200, description = "A new API token", body = LoginOutcome)))]
pub(super) async fn login(
    State(api): State<ApiState>,
    ClientAddress(address): ClientAddress,
    Json(request): Json<LoginRequest>,
) -> Result<Json<LoginOutcome>, Problem> {
    let name = request.token_name.unwrap_or_else(|| format!("cli on {address}"));
    let token = api.apps.log_in_for_token(&request.email, &request.password, &name, &address).await?;
    Ok(Json(LoginOutcome { token: token.expose().clone() }))
}

/// Who am I?
///
/// The person behind the credential, and the organisations it is good for.
#[utoipa::path(get, context_path = BASE, path = "/account", tag = "account",
    responses((status = 200, description = "The account", body = AccountView)))]
pub(super) async fn account(State(api): State<ApiState>, Me(who): Me) -> Result<Json<AccountView>, Problem> {
    let tenants = api.apps.tenants_of(&who).await?.into_iter().map(Into::into).collect();
    let user = UserView { id: who.user.to_string(), email: who.email, name: who.name, operator: who.is_operator };
    Ok(Json(AccountView { user, tenants }))
}

/// Change the password.
///
/// All other browser sessions of the account end.
#[utoipa::path(put, context_path = BASE, path = "/account/password", tag = "account", request_body = PasswordChange,
    responses((status = 204, description = "The password is changed")))]
pub(super) async fn change_password(
    State(api): State<ApiState>,
    Me(who): Me,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode, Problem> {
    api.apps.change_password(&who, &change.old, &change.new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List my API tokens.
#[utoipa::path(get, context_path = BASE, path = "/account/tokens", tag = "account", params(Paging),
    responses((status = 200, description = "The tokens, without their secrets", body = Page<TokenView>)))]
pub(super) async fn tokens(
    State(api): State<ApiState>,
    Me(who): Me,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<TokenView>>, Problem> {
    let all = api.apps.tokens(&who).await?.into_iter().map(TokenView::from).collect();
    Page::of(all, &paging, |t| t.id.clone())
}

/// Make an API token.
#[utoipa::path(post, context_path = BASE, path = "/account/tokens", tag = "account", request_body = NewToken,
    responses((status = 201, description = "The token, with its secret this once", body = MadeToken)))]
pub(super) async fn create_token(
    State(api): State<ApiState>,
    Me(who): Me,
    Json(new): Json<NewToken>,
) -> Result<Created<MadeToken>, Problem> {
    let (token, secret) =
        api.apps.create_token(&who, &new.name, new.scope, new.tenant.as_ref(), new.expires_in_days).await?;
    Ok(created(MadeToken { view: token.into(), token: secret.expose().clone() }))
}

/// Revoke an API token.
#[utoipa::path(delete, context_path = BASE, path = "/account/tokens/{id}", tag = "account",
    responses((status = 204, description = "The token is not valid any more")))]
pub(super) async fn revoke_token(
    State(api): State<ApiState>,
    Me(who): Me,
    Item(id): Item<TokenId>,
) -> Result<StatusCode, Problem> {
    api.apps.revoke_token(&who, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List my SSH keys.
#[utoipa::path(get, context_path = BASE, path = "/account/ssh-keys", tag = "account", params(Paging),
    responses((status = 200, description = "The public keys", body = Page<KeyView>)))]
pub(super) async fn ssh_keys(
    State(api): State<ApiState>,
    Me(who): Me,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<KeyView>>, Problem> {
    let all = api.apps.ssh_keys(&who).await?.into_iter().map(KeyView::from).collect();
    Page::of(all, &paging, |k| k.id.clone())
}

/// Add an SSH key.
#[utoipa::path(post, context_path = BASE, path = "/account/ssh-keys", tag = "account", request_body = NewKey,
    responses((status = 201, description = "The key can be used for git push", body = KeyView)))]
pub(super) async fn add_ssh_key(
    State(api): State<ApiState>,
    Me(who): Me,
    Json(new): Json<NewKey>,
) -> Result<Created<KeyView>, Problem> {
    Ok(created(api.apps.add_ssh_key(&who, new.name.as_deref(), &new.public_key).await?.into()))
}

/// Remove an SSH key.
#[utoipa::path(delete, context_path = BASE, path = "/account/ssh-keys/{id}", tag = "account",
    responses((status = 204, description = "The key is not valid any more")))]
pub(super) async fn remove_ssh_key(
    State(api): State<ApiState>,
    Me(who): Me,
    Item(id): Item<SshKeyId>,
) -> Result<StatusCode, Problem> {
    api.apps.remove_ssh_key(&who, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
