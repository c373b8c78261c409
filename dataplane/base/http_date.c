#include "dataplane/base/http_date.h"

#include <string.h>

#define DATE_LENGTH 29
#define DAY_SECONDS 86400
#define EPOCH_YEAR  1970

struct date {
    uint32_t year;
    uint32_t month; /* 0..11 */
    uint32_t day;   /* 1..31 */
    uint32_t hour;
    uint32_t minute;
    uint32_t second; /* 60: a leap second */
};

/* 0 is a digit of the date, everything else stands for itself; letters of names are looked up. */
static const char shape[DATE_LENGTH + 1] = "aaa, 00 aaa 0000 00:00:00 GMT";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* 1 January 1970 was a Thursday */

static bool has_shape(const uint8_t *text)
{
    for (int i = 0; i < DATE_LENGTH; i++) {
        bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (shape[i] == '0' ? !is_digit : shape[i] != 'a' && text[i] != (uint8_t)shape[i])
            return false;
    }
    return true;
}

static uint32_t digits(const uint8_t *text, int count)
{
    uint32_t value = 0;
    for (int i = 0; i < count; i++)
        value = value * 10 + (uint32_t)(text[i] - '0');
    return value;
}

/* The place of a name of three letters among NAMES; COUNT: it is none of them. */
static uint32_t place_of(const uint8_t *name, const char *names, uint32_t count)
{
    uint32_t place = 0;
    while (place < count && memcmp(name, names + (size_t)place * 3, 3) != 0)
        place++;
    return place;
}

static bool is_leap(uint32_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint32_t days_of(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month] + (month == 1 && is_leap(year));
}

static uint32_t leap_days_before(uint32_t year)
{
    uint32_t last = year - 1;
    return last / 4 - last / 100 + last / 400;
}

static uint64_t days_since_epoch(const struct date *date)
{
    uint64_t days = (uint64_t)(date->year - EPOCH_YEAR) * 365 + leap_days_before(date->year) -
                    leap_days_before(EPOCH_YEAR);
    for (uint32_t month = 0; month < date->month; month++)
        days += days_of(date->year, month);
    return days + date->day - 1;
}

static bool is_valid(const struct date *date)
{
    return date->year >= EPOCH_YEAR && date->month < 12 && date->day >= 1 &&
           date->day <= days_of(date->year, date->month) && date->hour < 24 && date->minute < 60 &&
           date->second <= 60;
}

bool http_date_parse(struct bytes text, uint64_t *out_seconds)
{
    const uint8_t *at = text.data;
    if (text.length != DATE_LENGTH || !has_shape(at))
        return false;
    struct date date = {
        .year = digits(at + 12, 4),
        .month = place_of(at + 8, months, 12),
        .day = digits(at + 5, 2),
        .hour = digits(at + 17, 2),
        .minute = digits(at + 20, 2),
        .second = digits(at + 23, 2),
    };
    if (!is_valid(&date))
        return false;
    uint64_t days = days_since_epoch(&date);
    if (place_of(at, weekdays, 7) != days % 7)
        return false;
    *out_seconds = days * DAY_SECONDS + date.hour * 3600 + date.minute * 60 + date.second;
    return true;
}
