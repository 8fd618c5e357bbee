//! What is done about people whom a gateway had said to have opted out, once it is not believed.

use tracing::error;

use super::deliver::Courier;
use crate::{
    domain::{account::Account, opt_out::Disbelieved, phone::E164},
    gateway::{GatewayName, route::Routes},
    store::{Scope, StoreError},
};

impl Courier {
    /// Lets messages go to them again. Where the store fails they stay without, until an administrator
    /// unlocks them.
    pub(super) async fn undo_opt_outs(&self, routes: &Routes) {
        for (gateway, number) in routes.take_disbelieved() {
            if let Err(error) = self.undo_opt_out(&gateway, &number).await {
                let number = number.masked();
                error!(%error, %gateway, number, "an end to messages was not undone: otpctl unlock does");
            }
        }
    }

    async fn undo_opt_out(&self, gateway: &GatewayName, number: &E164) -> Result<(), StoreError> {
        let (index, gateway) = (self.keys.index(number), gateway.0.clone());
        let accounts = self.reader.accounts_with(index).await;
        let accounts = accounts.map_err(|_| StoreError::Unavailable)?;
        let ending = number.ending().to_owned();
        let disbelieved = Disbelieved { number: index, ending, gateway, accounts };
        let scope = Scope::Number { account: Account::host(), number: index };
        self.store.transact(scope, move |records: &_, now| disbelieved.decide(records, now)).await
    }
}
