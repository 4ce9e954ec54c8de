"""Credentials: which values each type has.

    type                             values (optional ones in brackets)
    -------------------------------  --------------------------------------------------
    s3                               awsAccessKeyId awsSecretAccessKey [awsSessionToken]
    basic                            user password
    api_token                        apiToken
    bearer                           token
    oauth                            token [refreshToken]
    gcp                              gcpKey
    azure                            azureConnectionString
    azure_service_principal          azureTenantId clientId clientSecret
    databricks                       databricksAccessToken
    snowflake                        user privateKeyStr [passphrase]

The public API also says `databricks_access_token_account` and `snowflake_key_pair_user_account`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

CREDENTIAL: Final = "dr-credential"
"""The `source` of environment variables that come from a credential."""
API_KEY: Final = "api-key"
"""The `source` of the one that holds a token of the workload's own."""


class Values(NamedTuple):
    """What a credential of one type holds."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """The names, required ones first."""
        return self.required + self.optional


_DATABRICKS: Final = Values(("databricksAccessToken",))
_SNOWFLAKE: Final = Values(("user", "privateKeyStr"), ("passphrase",))

TYPES: Final[Mapping[str, Values]] = {
    "s3": Values(("awsAccessKeyId", "awsSecretAccessKey"), ("awsSessionToken",)),
    "basic": Values(("user", "password")),
    "api_token": Values(("apiToken",)),
    "bearer": Values(("token",)),
    "oauth": Values(("token",), ("refreshToken",)),
    "gcp": Values(("gcpKey",)),
    "azure": Values(("azureConnectionString",)),
    "azure_service_principal": Values(("azureTenantId", "clientId", "clientSecret")),
    "databricks": _DATABRICKS,
    "databricks_access_token_account": _DATABRICKS,
    "snowflake": _SNOWFLAKE,
    "snowflake_key_pair_user_account": _SNOWFLAKE,
}
