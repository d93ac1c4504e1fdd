package sqldb

import (
	"fmt"
	"reflect"
	"time"
)

// bind turns args into the five types that both engines take: nil, int64, float64, string, []byte.
func (tx *Tx) bind(args []any) error {
	tx.args = tx.args[:0]
	for i, a := range args {
		v, err := driverValue(a)
		if err != nil {
			return fmt.Errorf("parameter %d: %w", i+1, err)
		}
		tx.args = append(tx.args, v)
	}
	return nil
}

func driverValue(a any) (any, error) {
	switch x := a.(type) {
	case nil, int64, float64, string:
		return a, nil
	case []byte:
		if x == nil {
			return nil, nil
		}
		return a, nil
	case int:
		return int64(x), nil
	case bool:
		if x {
			return int64(1), nil
		}
		return int64(0), nil
	case time.Time:
		if x.IsZero() {
			return nil, nil
		}
		return x.UnixMicro(), nil
	}
	v := reflect.ValueOf(a)
	switch k := v.Kind(); {
	case k == reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return driverValue(v.Elem().Interface())
	case k == reflect.String:
		return v.String(), nil
	case k == reflect.Bool:
		return driverValue(v.Bool())
	case v.CanInt():
		return v.Int(), nil
	case v.CanUint() && v.Uint() <= 1<<63-1:
		return int64(v.Uint()), nil
	case k == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return driverValue(v.Bytes())
	case k == reflect.Array && v.Type().Elem().Kind() == reflect.Uint8:
		b := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(b), v)
		return b, nil
	}
	return nil, fmt.Errorf("%w: unsupported type %T", ErrMisuse, a)
}

// assign puts a driver value into dest. NULL fits pointers, []byte and time.Time only.
func assign(dest, src any) error {
	switch d := dest.(type) {
	case *int64:
		if v, ok := src.(int64); ok {
			*d = v
			return nil
		}
	case *int:
		if v, ok := src.(int64); ok {
			*d = int(v)
			return nil
		}
	case *string:
		if v, ok := src.(string); ok {
			*d = v
			return nil
		}
	case *[]byte:
		switch v := src.(type) {
		case []byte:
			*d = v
			return nil
		case nil:
			*d = nil
			return nil
		}
	case *bool:
		if v, ok := src.(int64); ok && (v == 0 || v == 1) {
			*d = v == 1
			return nil
		}
	case *time.Time:
		switch v := src.(type) {
		case int64:
			*d = FromMicros(v)
			return nil
		case nil:
			*d = time.Time{}
			return nil
		}
	case *float64:
		switch v := src.(type) {
		case float64:
			*d = v
			return nil
		case int64:
			*d = float64(v)
			return nil
		}
	default:
		return assignReflect(reflect.ValueOf(dest), src)
	}
	return mismatch(dest, src)
}

func assignReflect(dest reflect.Value, src any) error {
	if dest.Kind() != reflect.Pointer || dest.IsNil() {
		return mismatch(dest.Interface(), src)
	}
	e := dest.Elem()
	switch v := src.(type) {
	case nil:
		if e.Kind() == reflect.Pointer || e.Kind() == reflect.Slice {
			e.SetZero()
			return nil
		}
	case int64:
		switch {
		case e.Kind() == reflect.Pointer:
			return assignPointer(e, src)
		case e.CanInt() && !e.OverflowInt(v):
			e.SetInt(v)
			return nil
		case e.CanUint() && v >= 0 && !e.OverflowUint(uint64(v)):
			e.SetUint(uint64(v))
			return nil
		case e.Kind() == reflect.Bool && (v == 0 || v == 1):
			e.SetBool(v == 1)
			return nil
		}
	case string:
		switch e.Kind() {
		case reflect.Pointer:
			return assignPointer(e, src)
		case reflect.String:
			e.SetString(v)
			return nil
		}
	case []byte:
		switch {
		case e.Kind() == reflect.Pointer:
			return assignPointer(e, src)
		case e.Kind() == reflect.Slice && e.Type().Elem().Kind() == reflect.Uint8:
			e.SetBytes(v)
			return nil
		case e.Kind() == reflect.Array && e.Type().Elem().Kind() == reflect.Uint8 && e.Len() == len(v):
			reflect.Copy(e, reflect.ValueOf(v))
			return nil
		}
	case float64:
		if e.Kind() == reflect.Pointer {
			return assignPointer(e, src)
		}
	}
	return mismatch(dest.Interface(), src)
}

func assignPointer(e reflect.Value, src any) error {
	p := reflect.New(e.Type().Elem())
	if err := assign(p.Interface(), src); err != nil {
		return err
	}
	e.Set(p)
	return nil
}

// mismatch names types, never values.
func mismatch(dest, src any) error {
	return fmt.Errorf("%w: %T does not fit into %T", ErrMisuse, src, dest)
}
