//! One bridge network per project: instances of one project reach each other, nobody else's.

use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::ListNetworksOptionsBuilder;
use http::Method;

use super::{DockerEngine, errors, labels, raw};
use crate::engine::{EngineError, Owner};

impl DockerEngine {
    pub(super) async fn make_network(&self, name: &str, owner: &Owner) -> Result<(), EngineError> {
        let _turn = self.network_turn.lock().await;
        match self.client().await?.inspect_network(name, None).await {
            Ok(found) if self.installation.owns(found.labels.as_ref()) => return Ok(()),
            Ok(_) => return Err(EngineError::Refused(format!("the network name {name} is taken by another one"))),
            Err(e) if errors::status(&e) == Some(404) => {}
            Err(e) => return Err(errors::engine(&e, name)),
        }
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(labels::of_owner(&self.installation, owner)),
            ..Default::default()
        };
        let mut body = serde_json::to_value(request).map_err(|e| EngineError::Refused(e.to_string()))?;
        // Without it, engines before 25 make a second network of the same name.
        body["CheckDuplicate"] = true.into();
        let call = self.call(Method::POST, "/networks/create", vec![]).await?;
        match call.answer(raw::full(body.to_string().into())).await {
            Ok(_) => Ok(()),
            Err(EngineError::Refused(message)) if message.contains("address pool") => {
                Err(EngineError::Refused(format!(
                    "Docker has no address range left for another network; give it more with `default-address-pools` in \
                 /etc/docker/daemon.json ({message})"
                )))
            }
            Err(e) => Err(e),
        }
    }

    pub(super) async fn delete_network(&self, name: &str) -> Result<(), EngineError> {
        let client = self.client().await?;
        match client.inspect_network(name, None).await {
            Ok(found) if self.installation.owns(found.labels.as_ref()) => {}
            Ok(_) => return Err(EngineError::Refused(format!("the network {name} is not one of this Wharf's"))),
            Err(e) if errors::status(&e) == Some(404) => return Ok(()),
            Err(e) => return Err(errors::engine(&e, name)),
        }
        match client.remove_network(name).await {
            Ok(()) => Ok(()),
            Err(e) if errors::status(&e) == Some(404) => Ok(()),
            // In use: it stays, and the next round tries again.
            Err(e) if e.to_string().contains("active endpoints") => Ok(()),
            Err(e) => Err(errors::engine(&e, name)),
        }
    }

    pub(super) async fn list_networks(&self) -> Result<Vec<String>, EngineError> {
        let options = ListNetworksOptionsBuilder::new().filters(&self.own_filter()).build();
        let list = self.client().await?.list_networks(Some(options)).await;
        let list = list.map_err(|e| errors::engine(&e, "the networks"))?;
        let mut names: Vec<String> = list.into_iter().filter_map(|n| n.name).collect();
        names.sort();
        Ok(names)
    }

    /// A raw request at the agreed API version.
    pub(super) async fn call<'a>(
        &'a self,
        method: Method,
        path: &'a str,
        query: Vec<(&'a str, String)>,
    ) -> Result<raw::Call<'a>, EngineError> {
        let version = self.client().await?.client_version();
        let api = format!("{}.{}", version.major_version, version.minor_version);
        let headers = vec![("content-type", "application/json".to_owned())];
        Ok(raw::Call { socket: &self.socket, api, method, path, query, headers })
    }
}
