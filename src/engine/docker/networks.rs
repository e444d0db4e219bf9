//! One bridge network per project: instances of one project reach each other, nobody else's.

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;
use http::Method;

use super::subnets::{self, Subnet};
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
        let result = self.post_network(&request).await;
        match &result {
            // Docker says this one with a 404.
            Err(EngineError::Refused(m) | EngineError::NotFound(m)) if m.contains("address pool") => {}
            _ => return result,
        }
        // Docker's own pools hold about thirty networks; after that we choose a range ourselves.
        let subnet = self.free_subnet().await?;
        let range = IpamConfig { subnet: Some(subnet), ..Default::default() };
        let ipam = Ipam { config: Some(vec![range]), ..Default::default() };
        self.post_network(&NetworkCreateRequest { ipam: Some(ipam), ..request }).await
    }

    async fn post_network(&self, request: &NetworkCreateRequest) -> Result<(), EngineError> {
        let mut body = serde_json::to_value(request).map_err(|e| EngineError::Refused(e.to_string()))?;
        // Without it, engines before 25 make a second network of the same name.
        body["CheckDuplicate"] = true.into();
        let call = self.call(Method::POST, "/networks/create", vec![]).await?;
        call.answer(raw::full(body.to_string().into())).await.map(|_| ())
    }

    /// An address range that no Docker network and no route of this machine uses.
    async fn free_subnet(&self) -> Result<String, EngineError> {
        let list = self.client().await?.list_networks(None).await.map_err(|e| errors::engine(&e, "the networks"))?;
        let ranges = list.into_iter().filter_map(|n| n.ipam?.config).flatten().filter_map(|c| c.subnet);
        let mut taken: Vec<Subnet> = ranges.filter_map(|text| text.parse().ok()).collect();
        let routes = tokio::fs::read_to_string("/proc/net/route").await.unwrap_or_default();
        taken.extend(subnets::routes(&routes));
        subnets::free(&taken).map(|subnet| subnet.to_string()).ok_or_else(|| {
            EngineError::Refused(
                "there is no address range left for another network; remove projects that are not needed, or give Docker \
                 more with `default-address-pools` in /etc/docker/daemon.json"
                    .to_owned(),
            )
        })
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
