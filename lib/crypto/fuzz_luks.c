/* SPDX-License-Identifier: MIT */
/* Any bytes as a LUKS header: what is believed of them survives being written and read again. */
#include "crypto/luks.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t head[CRYPTO_LUKS_HEADER] = { 0 };
    CryptoLuks l, again;

    memcpy(head, data, MIN(size, sizeof head));
    if (!crypto_luks_parse(&l, head, UINT64_C(1) << 40, NULL))
        return 0;
    crypto_luks_bytes(&l, head);
    if (!crypto_luks_parse(&again, head, UINT64_C(1) << 40, NULL) || l.payload != again.payload ||
        l.key_len != again.key_len || memcmp(&l.slots, &again.slots, sizeof l.slots))
        abort();
    return 0;
}
