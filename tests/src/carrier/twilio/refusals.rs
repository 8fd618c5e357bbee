//! What Twilio refuses, in its words.

/// Code, HTTP status and words of what it refuses.
pub(super) const ERRORS: [(u32, u16, &str); 27] = [
    (20001, 400, "Invalid parameter"),
    (20003, 401, "Authenticate"),
    (20005, 401, "Account not active"),
    (20404, 404, "The requested resource was not found"),
    (20429, 429, "Too Many Requests"),
    (20500, 500, "An internal server error has occurred"),
    (20503, 503, "Service unavailable"),
    (21201, 400, "No 'To' number is specified"),
    (21205, 400, "Url is not a valid URL"),
    (21210, 400, "The source phone number provided is not yet verified for your account"),
    (21211, 400, "The 'To' number is not a valid phone number"),
    (
        21212,
        400,
        "The 'From' number is not a valid phone number, shortcode, or alphanumeric sender ID",
    ),
    (21213, 400, "No 'From' number is specified"),
    (
        21219,
        400,
        "The 'To' number is unverified. Trial accounts may only make calls to verified numbers",
    ),
    (
        21408,
        400,
        "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
    ),
    (21602, 400, "Message body is required"),
    (21603, 400, "A 'From' phone number is required"),
    (21604, 400, "A 'To' phone number is required"),
    (
        21606,
        400,
        "The 'From' phone number is not a valid, SMS-capable inbound phone number or short code for your account",
    ),
    (
        21608,
        400,
        "The number is unverified. Trial accounts cannot send messages to unverified numbers",
    ),
    (21610, 400, "Attempt to send to unsubscribed recipient"),
    (21611, 400, "This 'From' number has exceeded the maximum number of queued messages"),
    (
        21612,
        400,
        "Message cannot be sent with the current combination of 'To' and 'From' parameters",
    ),
    (21614, 400, "The 'To' number is not a valid mobile number"),
    (21617, 400, "The concatenated message body exceeds the 1600 character limit"),
    (21635, 400, "The 'To' phone number cannot be a landline"),
    (30034, 400, "US A2P 10DLC - Message from an Unregistered Number"),
];
