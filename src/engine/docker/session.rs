//! The session of a build: BuildKit calls back over it to fetch secrets and to ask whether we still live.

use std::collections::BTreeMap;
use std::pin::Pin;

use bollard::health::health_check_response::ServingStatus;
use bollard::health::health_server::{Health, HealthServer};
use bollard::health::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};
use bollard::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use futures_util::Stream;
use http::Method;
use hyper_util::rt::TokioExecutor;
use hyper_util::service::TowerToHyperService;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::DockerEngine;
use crate::engine::EngineError;
use crate::kernel::error::chain;

impl DockerEngine {
    /// Opens session `id` and serves it; the inner future ends when the builder closes it.
    pub(super) async fn open_session(
        &self,
        id: &str,
        secrets: BTreeMap<String, Vec<u8>>,
    ) -> Result<impl Future<Output = Result<(), EngineError>> + Send + use<>, EngineError> {
        let mut call = self.call(Method::POST, "/session", vec![]).await?;
        call.headers = vec![
            ("x-docker-expose-session-uuid", id.to_owned()),
            ("x-docker-expose-session-grpc-method", "/moby.buildkit.secrets.v1.Secrets/GetSecret".to_owned()),
        ];
        let stream = call.upgrade("h2c").await?;
        let routes = Routes::new(HealthServer::new(Alive)).add_service(SecretsServer::new(Store(secrets)));
        let service = TowerToHyperService::new(routes.prepare());
        let connection =
            hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service);
        Ok(async move { connection.await.map_err(|e| EngineError::Unreachable(chain(&e))) })
    }
}

/// The secrets of one build.
struct Store(BTreeMap<String, Vec<u8>>);

#[tonic::async_trait]
impl Secrets for Store {
    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Result<Response<GetSecretResponse>, Status> {
        match self.0.get(&request.get_ref().id) {
            Some(data) => Ok(Response::new(GetSecretResponse { data: data.clone() })),
            None => Err(Status::not_found("this build has no such secret")),
        }
    }
}

/// Says yes for as long as the session stands.
struct Alive;

fn serving() -> HealthCheckResponse {
    HealthCheckResponse { status: ServingStatus::Serving.into() }
}

#[tonic::async_trait]
impl Health for Alive {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(serving()))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        Ok(Response::new(HealthListResponse { statuses: [(String::new(), serving())].into() }))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(Box::pin(futures_util::stream::iter([Ok(serving())]))))
    }
}
